"""What a pool's files are called: in the scores a name is one line, and one file's alone."""

import os

import pytest

from scar.cli import main
from scar.errors import InputError
from scar.pools import find
from tests.pools.made import ROW, write


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.jsonl",
        "a\rb.jsonl",
        "\x1b[2Jb.jsonl",
        "a\u2028b.jsonl",
        "in\n/b.jsonl",
        "\x7f.jsonl",
        "\x85.jsonl",
    ],
)
def test_a_name_of_two_lines_or_with_a_control_character_is_refused(name, tmp_path, capsys):
    write(tmp_path / "pool" / name, ROW)
    with pytest.raises(InputError, match="holds a line break or a control character; rename it") as error:
        find(tmp_path / "pool")
    assert str(error.value).isprintable()
    assert main(["inspect", str(tmp_path / "pool")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_name_that_is_not_utf8_is_refused_as_its_bytes(tmp_path):
    write(tmp_path / "a.jsonl", ROW)
    os.link(tmp_path / "a.jsonl", os.fsencode(tmp_path) + b"/\xff\xfe.jsonl")
    with pytest.raises(InputError, match=r"\\xff\\xfe.jsonl'?: the file's name is not UTF-8"):
        find(tmp_path)


def test_a_way_through_a_parent_is_no_name(tmp_path):
    write(tmp_path / "a" / "x.jsonl", ROW)
    write(tmp_path / "b" / "x.jsonl", ROW)
    write(tmp_path / "x.jsonl", ROW)
    with pytest.raises(InputError, match="leads through '..'"):
        find(str(tmp_path / "*" / ".." / "x.jsonl"))
    assert [file.name for file in find(str(tmp_path / "a" / ".." / "b" / "*.jsonl"))] == ["x.jsonl"]
    assert [file.name for file in find(tmp_path / "a" / ".." / "x.jsonl")] == ["x.jsonl"]


@pytest.mark.parametrize(
    "name",
    [
        "a b.jsonl",
        "a..jsonl",
        "=1+1.jsonl",
        "~.jsonl",
        "C:\\x.jsonl",
        "né\u202fe.jsonl",
        "%2e%2e.jsonl",
    ],
)
def test_an_odd_name_is_taken_as_it_is(name, tmp_path):
    write(tmp_path / "in" / name, ROW)
    write(tmp_path / "in" / "z.jsonl", ROW)
    there = [file.name for file in find(tmp_path)]
    assert there == sorted([f"in/{name}", "in/z.jsonl"])


def test_a_name_with_a_nul_is_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        find(str(tmp_path / "a\0.jsonl"))


def test_a_key_of_a_store_is_a_name_too():
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/names/a\nb.jsonl", ROW)
    with pytest.raises(InputError, match="control character"):
        find("memory://names")

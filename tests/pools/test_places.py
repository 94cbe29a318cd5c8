"""What a pool argument names, and what it does not."""

from pathlib import Path

import pytest

from scar.errors import InputError
from scar.pools import find
from tests.pools.made import ROW, names, write


def test_a_pool_is_a_file_a_folder_a_glob_or_several(tmp_path, monkeypatch):
    for name in ("b.jsonl", "a.jsonl.gz", "deep/c.jsonl", "notes.txt", "deep/model.json"):
        write(tmp_path / name, ROW)
    assert names(tmp_path / "b.jsonl") == ["b.jsonl"]
    assert names(str(tmp_path)) == ["a.jsonl.gz", "b.jsonl", "deep/c.jsonl"]
    assert names(tmp_path / "*.jsonl*") == ["a.jsonl.gz", "b.jsonl"]
    assert names([tmp_path / "b.jsonl", tmp_path / "deep"]) == ["b.jsonl", "c.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert names("**/*.jsonl") == ["b.jsonl", "deep/c.jsonl"]


def test_a_glob_that_matches_a_folder_and_what_is_in_it_gives_each_file_once(tmp_path):
    for name in ("b.jsonl", "deep/c.jsonl", "deep/er/d.jsonl"):
        write(tmp_path / name, ROW)
    assert names(tmp_path / "**") == ["b.jsonl", "deep/c.jsonl", "deep/er/d.jsonl"]


@pytest.mark.parametrize("nothing", ["", [], ["a.jsonl", ""]])
def test_a_pool_without_a_name_is_not_the_current_folder(tmp_path, monkeypatch, nothing):
    write(tmp_path / "a.jsonl", ROW)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the pool has no name"):
        find(nothing)


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    write(tmp_path / "a[1].jsonl", ROW)
    write(tmp_path / "a1.jsonl", ROW)
    assert names(tmp_path / "a[1].jsonl") == ["a[1].jsonl"]


def test_our_own_run_folders_and_hidden_files_are_no_pools(tmp_path):
    for name in (
        "a.jsonl",
        "a.jsonl.run/set_aside.jsonl",
        "a.jsonl.run/ledger/0.json",
        ".b.jsonl",
        ".cache/c.jsonl",
    ):
        write(tmp_path / name, ROW)
    assert names(tmp_path) == ["a.jsonl"]


def test_two_files_of_one_name_are_refused(tmp_path):
    write(tmp_path / "x" / "a.jsonl", ROW)
    write(tmp_path / "y" / "a.jsonl", ROW)
    with pytest.raises(InputError, match="a.jsonl twice.*folder"):
        find([tmp_path / "x", tmp_path / "y"])
    assert names(tmp_path) == ["x/a.jsonl", "y/a.jsonl"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none.jsonl", "no such file"),
        ("*.jsonl", "no such file"),
        ("folder", "no pool files"),
        ("a.txt", "not a pool file"),
    ],
)
def test_a_place_without_a_pool_is_named(tmp_path, place, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError) as error:
        find(tmp_path / place)
    assert place in str(error.value)
    assert message in str(error.value)


def test_a_url_that_a_path_has_shortened_is_told():
    with pytest.raises(InputError, match="s3:/bucket/a.jsonl: no such file.*given as text"):
        find(Path("s3://bucket/a.jsonl"))

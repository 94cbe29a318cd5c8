"""A reader sees a whole file or none, whatever happens to the writer."""

import hashlib
import json
from pathlib import Path

import pytest

from scar.errors import InputError
from scar.files import (
    atomic,
    read_json,
    refuse_existing,
    refuse_url,
    require_folder,
    sha256,
    temp_of,
    write_json,
)
from scar.folders import new_folder


class Accident(Exception):
    pass


def test_a_file_appears_whole_when_the_block_ends(tmp_path):
    with atomic(tmp_path / "a") as stream:
        stream.write(b"first, ")
        stream.flush()
        assert not (tmp_path / "a").exists()
        stream.write(b"second")
    assert (tmp_path / "a").read_bytes() == b"first, second"
    assert [f.name for f in tmp_path.iterdir()] == ["a"]


def test_an_accident_leaves_nothing_of_a_new_file(tmp_path):
    with pytest.raises(Accident), atomic(tmp_path / "a") as stream:
        stream.write(b"half")
        raise Accident
    assert list(tmp_path.iterdir()) == []


def test_an_accident_leaves_an_old_file_as_it_was(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(Accident), atomic(tmp_path / "a") as stream:
        stream.write(b"half")
        stream.flush()
        assert (tmp_path / "a").read_bytes() == b"old"
        raise Accident
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {"a": b"old"}


def test_json_is_read_back_as_it_was_written(tmp_path):
    value = {"z": "é\u2028", "a": [1, 2.5, None]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json", "") == value == json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert list(read_json(tmp_path / "a.json", "")) == ["z", "a"]


def test_json_that_cannot_be_spelt_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {"a.json": b"1\n"}


@pytest.mark.parametrize("damage", [b"{", b"\xff", b""])
def test_json_that_is_damaged_or_missing_is_named_with_what_it_is_for(tmp_path, damage):
    with pytest.raises(InputError, match="a.json: missing; the remedy"):
        read_json(tmp_path / "a.json", "the remedy")
    (tmp_path / "a.json").write_bytes(damage)
    with pytest.raises(InputError, match="a.json: not readable.*the remedy"):
        read_json(tmp_path / "a.json", "the remedy")


def test_a_folder_appears_whole_when_the_block_ends(tmp_path):
    out = tmp_path / "deep" / "out"
    with new_folder(out, overwrite=False) as temp:
        (temp / "a").write_text("1")
        assert not out.exists()
    assert [f.name for f in out.parent.iterdir()] == ["out"]
    assert (out / "a").read_text() == "1"


def test_an_accident_leaves_an_old_folder_as_it_was(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("1")
    with pytest.raises(Accident), new_folder(tmp_path / "out", overwrite=True) as temp:
        (temp / "new").write_text("2")
        raise Accident
    assert [f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*")] == ["out", "out/old"]


def test_overwrite_replaces_all_of_a_folder(tmp_path):
    for name in ("old", "new"):
        with new_folder(tmp_path / "out", overwrite=True) as temp:
            (temp / name).touch()
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["new"]


def test_a_folder_of_the_users_with_a_name_like_a_temp_file_is_left_alone(tmp_path):
    (tmp_path / ".out.tmp").mkdir()
    (tmp_path / ".out.tmp" / "mine").touch()
    with new_folder(tmp_path / "out", overwrite=False) as temp:
        (temp / "new").touch()
    assert sorted(f.name for f in tmp_path.rglob("*")) == [".out.tmp", "mine", "new", "out"]


def test_an_accident_while_a_folder_is_replaced_leaves_the_old_one(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with pytest.raises(Accident), new_folder(tmp_path / "out", overwrite=True):
        raise Accident
    assert [f.name for f in tmp_path.rglob("*")] == ["out", "old"]


def test_a_link_to_a_folder_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with new_folder(tmp_path / "link", overwrite=True) as temp:
        (temp / "new").touch()
    assert (tmp_path / "link" / "new").is_file() and (tmp_path / "real" / "new").is_file()


def test_an_existing_output_is_refused_before_the_block_runs(tmp_path):
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(InputError, match="out exists; --overwrite"),
        new_folder(tmp_path / "out", overwrite=False),
    ):
        raise Accident
    with pytest.raises(InputError, match="out exists; --overwrite"):
        refuse_existing(tmp_path / "out", overwrite=False)
    refuse_existing(tmp_path / "out", overwrite=True)
    refuse_existing(tmp_path / "new", overwrite=False)


def test_a_folder_never_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "pool.jsonl").write_text("mine")
    with (
        pytest.raises(InputError, match="pool.jsonl is a file"),
        new_folder(tmp_path / "pool.jsonl", overwrite=True),
    ):
        raise Accident
    assert (tmp_path / "pool.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://bucket/a/k.jsonl", "s3://bucket/a/k.jsonl"),
        ("https://host/k.jsonl?signature=hush", "https://host/k.jsonl"),
        ("https://me:hush@host/a@b/k.jsonl", "https://host/a@b/k.jsonl"),
    ],
)
def test_a_url_for_a_file_of_this_machine_is_told_without_what_may_be_a_secret(
    url, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{told}: kept rows are .* on this machine") as caught:
        require_folder(Path(url), "kept rows")
    assert "hush" not in str(caught.value)
    refuse_url(Path("/no/s3:/k.jsonl"), "kept rows")
    with pytest.raises(InputError, match="^/no: no such folder for kept rows"):
        require_folder(Path("/no/k.jsonl"), "kept rows")
    (tmp_path / "s3:" / "a").mkdir(parents=True)  # odd, but a folder
    require_folder(Path("s3:/a/k.jsonl"), "kept rows")


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"\x00abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"\x00abc" * 100_000).hexdigest()


def test_what_a_killed_writer_left_is_no_part_of_what_is_written(tmp_path):
    temp_of(tmp_path / "file").write_bytes(b"longer than what comes")
    with atomic(tmp_path / "file") as stream:
        stream.write(b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

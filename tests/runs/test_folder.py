"""A run folder on a disk."""

import os

import pytest

from scar.errors import InputError
from scar.runs import CHUNKS, LEDGER, SET_ASIDE_PARTS, Disk, open_folder


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "deep" / "run")
    disk.prepare()
    return disk


def write(disk, name, content=b"x"):
    with disk.writing(name) as stream:
        stream.write(content)


def test_it_is_made_with_its_rooms_and_cleared_of_what_a_kill_left(disk):
    for name in (f"{CHUNKS}/.00000000.parquet.tmp", f"{LEDGER}/.a.tmp", ".plan.json.tmp"):
        (disk.path / name).write_bytes(b"half")
    write(disk, f"{LEDGER}/a")
    disk.prepare()
    assert sorted(path.relative_to(disk.path).as_posix() for path in disk.path.rglob("*")) == [
        *(CHUNKS, LEDGER, f"{LEDGER}/a", SET_ASIDE_PARTS)
    ]


def test_files_are_listed_read_and_removed_by_name(disk):
    for name in ("a", "b"):
        write(disk, f"{LEDGER}/{name}", name.encode())
    assert {name: each.bytes for name, each in disk.listing(LEDGER).items()} == {
        f"{LEDGER}/a": 1,
        f"{LEDGER}/b": 1,
    }
    assert list(disk.read_all([f"{LEDGER}/b", f"{LEDGER}/none", f"{LEDGER}/a"])) == [b"b", None, b"a"]
    disk.remove([f"{LEDGER}/a", f"{LEDGER}/none"])
    assert list(disk.listing(LEDGER)) == [f"{LEDGER}/b"] and disk.listing("none") == {}
    disk.remove([f"{LEDGER}/b"])
    assert disk.names() == {CHUNKS, SET_ASIDE_PARTS, LEDGER}, "a plan would stand beside them"
    disk.remove(["plan.json"])
    assert disk.names() == set()


def test_what_is_not_there_has_no_names(tmp_path):
    assert Disk(tmp_path / "none").names() is None and Disk(tmp_path / "none").owners() == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        Disk(tmp_path / "file").names()


def test_what_is_removed_is_synced_before_anything_else_is_done(disk, monkeypatch):
    write(disk, f"{LEDGER}/a")
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), real(handle))
    )
    disk.remove([f"{LEDGER}/a"])
    assert synced == [str(disk.path / LEDGER)]


def test_a_room_that_leads_elsewhere_is_refused(disk, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (disk.path / CHUNKS).rmdir()
    (disk.path / CHUNKS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link"):
        write(disk, f"{CHUNKS}/a")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_path_is_a_disk(tmp_path):
    assert open_folder(tmp_path) == open_folder(str(tmp_path)) == Disk(tmp_path)
    assert open_folder(Disk(tmp_path)) == Disk(tmp_path)

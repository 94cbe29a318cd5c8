"""Who may write to a run folder; with real processes: tests/faults/test_locks.py."""

import json
import os

import pytest

from scar.errors import InputError
from scar.runs import LOCK, Disk, Shard
from scar.runs.lock import Owner


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "run")


def locks(disk):
    return sorted(path.name for path in disk.path.iterdir())


def test_the_owner_is_named_and_gone_afterwards(disk):
    with disk.hold() as dead:
        assert dead is None and locks(disk) == [LOCK]
        (owner,) = disk.owners()
        assert owner.pid == os.getpid() and owner.host == os.uname().nodename and owner.shard == ""
        with pytest.raises(InputError, match=rf"being written by pid {os.getpid()} on"), disk.hold():
            raise AssertionError
    assert locks(disk) == [] and disk.owners() == []


def test_shards_of_one_cut_live_together(disk):
    with disk.hold(Shard(1, 3)), disk.hold(Shard(3, 3)):
        assert [owner.shard for owner in disk.owners()] == ["1/3", "3/3"]
        for other in (None, Shard(1, 3), Shard(1, 2), Shard(3, 33)):
            with pytest.raises(InputError, match="shard [13]/3"), disk.hold(other):
                raise AssertionError
        with disk.hold(Shard(2, 3)):
            assert len(disk.owners()) == 3
    assert locks(disk) == []


def test_the_whole_keeps_shards_out(disk):
    with disk.hold(), pytest.raises(InputError, match="being written by pid"), disk.hold(Shard(1, 2)):
        raise AssertionError


def test_a_dead_owner_is_told_once(disk, caplog):
    disk.path.mkdir()
    (disk.path / LOCK).write_text(json.dumps({"pid": 7, "host": "gone", "since": "then", "shard": ""}))
    assert disk.owners() == []
    with disk.hold() as dead:
        assert dead == Owner(7, "gone", "then")
    assert "its last owner, pid 7 on gone, since then, did not end well" in caplog.text
    caplog.clear()
    with disk.hold() as dead:
        assert dead is None
    assert caplog.text == ""


def test_shards_that_died_are_forgotten_by_the_whole(disk):
    disk.path.mkdir()
    (disk.path / f"{LOCK}.2-5").write_text("{}")
    with disk.hold(Shard(1, 2)):
        pass
    with disk.hold():
        assert locks(disk) == [LOCK]


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', '{"pid": 1}', "[" * 3000, '{"more": 1}'])
def test_rubbish_is_nobody(text):
    assert Owner.read(text) is None

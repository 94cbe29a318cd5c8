"""Lock files of a run folder on a disk: what is opened, and what is asked of the file system."""

import errno
import fcntl
import os

import pytest

from scar.errors import InputError
from scar.runs import LOCK, Disk, Shard
from scar.runs.lock import owners


@pytest.mark.parametrize("name, shard", [(LOCK, None), (LOCK, Shard(1, 2)), (f"{LOCK}.1-2", Shard(1, 2))])
def test_a_link_in_a_lock_s_place_is_refused_and_what_it_leads_to_stays(tmp_path, name, shard):
    (tmp_path / "precious").write_text("all of it")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=f"{name}: a link"), Disk(tmp_path / "run").hold(shard):
        pass
    with pytest.raises(InputError, match=f"{name}: a link"):
        owners(tmp_path / "run")
    assert (tmp_path / "precious").read_text() == "all of it"


def test_a_pipe_in_a_lock_s_place_keeps_nobody_waiting(tmp_path):
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / LOCK)
    assert owners(tmp_path / "run") == []


@pytest.fixture
def nfs(monkeypatch):
    """A file system that gives an exclusive lock only to who may write, as Linux's NFS does."""
    real = fcntl.flock

    def flock(handle, how):
        reading = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        if how & fcntl.LOCK_EX and reading:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)


def test_owners_are_seen_where_only_writers_may_lock_alone(tmp_path, nfs):
    folder = Disk(tmp_path / "run")
    with folder.hold():
        assert [owner.pid for owner in folder.owners()] == [os.getpid()]
    with folder.hold(Shard(1, 3)), folder.hold(Shard(3, 3)):
        assert sorted(owner.shard for owner in folder.owners()) == ["1/3", "3/3"]
        with pytest.raises(InputError, match="shard 1/3"), folder.hold(Shard(2, 4)):
            pass
        with pytest.raises(InputError, match="shard"), folder.hold():
            pass
    assert folder.owners() == []

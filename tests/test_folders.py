"""Hidden folders of one process: cleaned up after whoever was killed, and nobody else."""

import errno
import fcntl
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scar.files import atomic
from scar.folders import held, new_folder, own_folder

PREFIX = ".out.new-"
HERE = f"{PREFIX}{platform.node()}@"


def test_it_is_there_for_the_block(tmp_path):
    with own_folder(tmp_path, PREFIX) as folder:
        (folder / "a").touch()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path):
    (tmp_path / f"{HERE}deadbeef" / "new").mkdir(parents=True)
    (tmp_path / f"{HERE}deadbeef" / "new" / "half").touch()
    (tmp_path / f"{PREFIX}mine" / "thesis").mkdir(parents=True)
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / f"{PREFIX}mine")
    living = tmp_path / f"{HERE}livingon" / "new"
    living.mkdir(parents=True)
    handle = os.open(living.parent, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with own_folder(tmp_path, PREFIX):
        pass
    os.close(handle)
    assert sorted(path.name.removeprefix(PREFIX) for path in tmp_path.iterdir()) == [
        "file",
        "link",
        "mine",
        f"{platform.node()}@livingon",
    ]


@pytest.fixture
def unlocked(monkeypatch):
    """A folder that cannot be locked, as on Linux's NFS."""

    def flock(handle, how):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_what_another_machine_works_on_stays_where_locks_tell_nothing(tmp_path, unlocked, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as there:
        there.setattr("platform.node", lambda: "other")
        theirs = new_folder(out, overwrite=True)
        folder = theirs.__enter__()
    (folder / "theirs").touch()
    with new_folder(out, overwrite=True) as ours:
        (ours / "ours").touch()
    assert (folder / "theirs").exists()
    theirs.__exit__(None, None, None)
    assert [path.name for path in out.iterdir()] == ["theirs"] and list(tmp_path.iterdir()) == [out]


def test_what_another_machine_left_goes_after_days(tmp_path, unlocked):
    old, young = tmp_path / f"{PREFIX}other@a", tmp_path / f"{PREFIX}other@b"
    for folder in (old, young):
        (folder / "new").mkdir(parents=True)
    long_ago = time.time() - 8 * 86400
    for path in (old / "new", old, young):
        os.utime(path, (long_ago, long_ago))
    with own_folder(tmp_path, PREFIX):
        pass
    assert list(tmp_path.iterdir()) == [young]


def test_two_at_once_have_one_each(tmp_path):
    with own_folder(tmp_path, PREFIX) as a, own_folder(tmp_path, PREFIX) as b:
        assert a != b and a.is_dir() and b.is_dir()


@pytest.mark.parametrize("name", ["[out]*", "out\n", "-out", "größe"])
def test_any_name_will_do(tmp_path, name):
    for content in ("old", "new"):
        with new_folder(tmp_path / name, overwrite=True) as folder:
            (folder / content).touch()
    assert [path.name for path in (tmp_path / name).iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_output_s_temp_file_never_leads_elsewhere(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / ".out.tmp").symlink_to(tmp_path / "mine")
    with atomic(tmp_path / "out") as stream:
        stream.write(b"new")
    assert (tmp_path / "mine").read_text() == "precious" and (tmp_path / "out").read_bytes() == b"new"
    assert not (tmp_path / "out").is_symlink()


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-file"), atomic(tmp_path / "out"):
        open(tmp_path / "no-such-file")
    with pytest.raises(OSError, match="not a gzip file"), atomic(tmp_path / "out"):
        raise OSError("not a gzip file")


def test_whoever_has_a_folder_to_itself_may_hold_it_again_and_others_wait(tmp_path):
    order = []

    def other():
        with held(tmp_path, shared=True):
            order.append("other")

    with ThreadPoolExecutor(1) as thread:
        with held(tmp_path, shared=False):
            with held(tmp_path, shared=True), held(tmp_path, shared=False):
                waits = thread.submit(other)
            time.sleep(0.05)
            order.append("mine")
        waits.result(5)
    assert order == ["mine", "other"]

"""Write folders so that a reader never sees half of one: filled in a hidden place, durable, put in place at once."""

import ctypes
import errno
import fcntl
import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scar.errors import InputError
from scar.files import NO_LOCKS, make_folder, refuse_existing, sync_folder

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""
LONG = 7 * 86400.0
"""Seconds without a change after which a folder is taken for one that was left behind, on whatever machine."""


@contextmanager
def new_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Fill a hidden folder beside `path`; at the end of the block it becomes `path`, or nothing does.

    What `path` held before stands there until the new folder takes its place.
    """
    path = path.resolve()
    prefix = f".{path.name}.new-"
    _put_back(path, prefix)
    refuse_existing(path, overwrite=overwrite)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; the output is a folder")
    make_folder(path.parent)
    with own_folder(path.parent, prefix) as new:
        yield new
        sync_tree(new)
        refuse_existing(path, overwrite=overwrite)
        _publish(new, path, new.with_name("old"))


def _publish(new: Path, path: Path, old: Path) -> None:
    if not path.exists():
        os.replace(new, path)
    elif not _exchange(new, path):
        # For a moment there is neither; whoever is killed then is made good by the next attempt.
        os.replace(path, old)
        os.replace(new, path)
    sync_folder(path.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Let two folders change places in one step; False where the system cannot."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        return False
    if swap(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(error, os.strerror(error), str(b))


def _put_back(path: Path, prefix: str) -> None:
    """Restore what a process took away that was killed before it put the new folder in its place."""
    for left in _left_behind(path.parent, prefix):
        if (left / "old").is_dir() and not path.exists():
            os.replace(left / "old", path)


@contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a hidden folder for this process alone, gone after the block; those that killed processes left go before.

    Not at once those of other machines: on a shared disk their locks may be unknown here.
    """
    for left in _left_behind(parent, prefix):
        if left.name.startswith(_here(prefix)) or _is_old(left):
            shutil.rmtree(left, ignore_errors=True)
    folder, handle = _made(parent, prefix)
    try:
        (folder / "new").mkdir()
        yield folder / "new"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _made(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=_here(prefix)))
        if (handle := _claimed(folder)) is not None:
            return folder, handle  # else somebody took it for one that was left behind


def _here(prefix: str) -> str:
    """Give the beginning of the names of this machine's folders."""
    return f"{prefix}{re.sub(r'[^A-Za-z0-9.-]', '_', platform.node())[:64]}@"


def _is_old(folder: Path) -> bool:
    try:
        changed = max(os.stat(each).st_mtime for each in (folder, *folder.iterdir()))
    except FileNotFoundError:
        return False  # gone by now
    return time.time() - changed > LONG


def _left_behind(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield folders of ours that nobody holds; each is held while the caller looks at it."""
    if not parent.is_dir():
        return
    for folder in sorted(each for each in parent.iterdir() if each.name.startswith(prefix)):
        if not _is_ours(folder):
            continue
        if (handle := _claimed(folder)) is not None:
            try:
                yield folder
            finally:
                os.close(handle)


def _is_ours(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        return {each.name for each in folder.iterdir()} <= {"new", "old"}
    except (PermissionError, FileNotFoundError):
        return False  # another user's, or gone by now


def _claimed(folder: Path) -> int | None:
    """Lock a folder for as long as this process lives; None where another has it, or it is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                return None
            raise
    if folder.is_dir():
        return handle
    os.close(handle)
    return None


@contextmanager
def held(folder: Path, *, shared: bool) -> Iterator[None]:
    """Wait until nobody changes a folder, or with `shared=False` until nobody reads it either, and keep it so.

    A thread that has it to itself may hold it once more: it would wait for itself.
    """
    whole: set[str] = _mine.__dict__.setdefault("folders", set())
    name = os.path.realpath(folder)
    if name in whole:
        yield
        return
    with _locked(folder, shared=shared):
        if not shared:
            whole.add(name)
        try:
            yield
        finally:
            whole.discard(name)


_mine = threading.local()
"""Folders that a thread has to itself."""


@contextmanager
def _locked(folder: Path, *, shared: bool) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make all that a folder holds durable."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(Path(root, name), "rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(root))

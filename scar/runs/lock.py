"""One owner of a run folder on a disk: a lock that the system lets go when its owner dies, however it died."""

import errno
import fcntl
import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from scar.errors import InputError
from scar.files import NO_LOCKS
from scar.runs.names import LOCK
from scar.runs.shard import Shard

log = logging.getLogger("scar")
TRIES, PAUSE = 5, 0.1
"""`scar status` takes a lock for a moment to see whether it is free."""


@dataclass(frozen=True)
class Owner:
    """Who writes to a run folder."""

    pid: int
    host: str
    since: str
    shard: str = ""

    @classmethod
    def this(cls, shard: Shard | None) -> "Owner":
        """Name this process."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(os.getpid(), platform.node(), now, str(shard or ""))

    @classmethod
    def read(cls, text: str) -> "Owner | None":
        """Read who stands in a lock; None where nobody does, or it is not to be read."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None

    def written(self) -> str:
        """Give what stands in the lock."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        """Say who it is."""
        shard = f", shard {self.shard}" if self.shard else ""
        return f"pid {self.pid} on {self.host}, since {self.since}{shard}"


@contextmanager
def hold(run: Path, shard: Shard | None) -> Iterator[Owner | None]:
    """Own a run folder, or a shard of it beside the owners of others, for the block; gives the dead owner, if any.

    Raises InputError naming the pid and host of the owner that lives.
    """
    with ExitStack() as stack:
        whole = stack.enter_context(_locked(run / LOCK, run, shared=shard is not None))
        own = whole if shard is None else stack.enter_context(_locked(_shard_lock(run, shard), run))
        dead = _owner(own)
        if shard is None:
            _forget_shards(run)  # the whole is ours, so none of them lives
        else:
            _refuse_other_cuts(run, shard)
        _write(run, own, Owner.this(shard).written())
        if dead:
            log_taken(run, dead)
        yield dead


def log_taken(run: Path | str, dead: Owner) -> None:
    """Log that a dead owner's run is ours now."""
    log.warning("%s: its last owner, %s, did not end well; taken over", run, dead)


def _refuse_other_cuts(run: Path, shard: Shard) -> None:
    """Shards of another n share chunks with ours. Both sides hold their locks by now, so one of them sees the other."""
    for path in _shard_locks(run):
        if not path.name.endswith(f"-{shard.of}") and (other := _alive(path)):
            raise refused(run, other)


def owners(run: Path) -> list[Owner]:
    """Say who writes to a run folder at this moment."""
    if not run.is_dir():
        return []
    whole = _alive(run / LOCK)
    return [whole] if whole else _shards_alive(run)


def _shards_alive(run: Path) -> list[Owner]:
    found = (_alive(path) for path in _shard_locks(run))
    return [owner for owner in found if owner]


def _shard_lock(run: Path, shard: Shard) -> Path:
    return run / f"{LOCK}.{shard.number}-{shard.of}"


def _shard_locks(run: Path) -> list[Path]:
    return sorted(run.glob(f"{LOCK}.*-*"))


def _forget_shards(run: Path) -> None:
    for path in _shard_locks(run):
        path.unlink(missing_ok=True)


def refused(run: Path | str, owner: Owner | None) -> InputError:
    """Make the error for whoever comes second."""
    return InputError(
        f"{run} is being written by {owner or 'another process'}: wait for it, or choose another --out"
    )


@contextmanager
def _locked(path: Path, run: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold a lock file; it is gone afterwards, unless others share it. Whoever dies leaves their name in it."""
    handle = _acquired(path, run, shared=shared)
    try:
        yield handle
    finally:
        if _try(handle, shared=False):
            path.unlink(missing_ok=True)
        os.close(handle)


def _acquired(path: Path, run: Path, *, shared: bool) -> int:
    for _ in range(TRIES):
        handle = _opened(path, os.O_RDWR | os.O_CREAT)
        if _try(handle, shared=shared):
            if _still_there(path, handle):
                return handle
            os.close(handle)  # its last owner removed it between our two steps
            continue
        owner = _owner(handle)
        os.close(handle)
        time.sleep(PAUSE)
    # Shards share the lock, and are named in locks of their own.
    raise refused(run, next(iter(_shards_alive(run)), owner))


def _opened(path: Path, flags: int) -> int:
    """Open a lock. Raises InputError for a link: what it leads to would be written over."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{path}: a link, not a lock of ours; remove it") from None
        raise


def _try(handle: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise InputError(
                "this file system has no locks, so nothing would keep a second process out: "
                "put the run folder on another (Lustre: mount it with -o flock)"
            ) from None
        raise
    return True


def _still_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _alive(path: Path) -> Owner | None:
    """Give the one owner of a lock that is held; None where nobody holds it, or several share it."""
    try:
        handle = _opened(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Owners hold it alone, so a shared lock tells; NFS gives no other to a file that is open for reading.
        return None if _try(handle, shared=True) else _owner(handle) or Owner(0, "?", "?")
    finally:
        os.close(handle)


def _owner(handle: int) -> Owner | None:
    return Owner.read(os.pread(handle, 4096, 0).decode("utf-8", "replace"))


def _write(run: Path, handle: int, text: str) -> None:
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(run / LOCK)) from None

"""Write files so that a reader never sees half of one: temp file, fsync, rename, fsync of the folder."""

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scar.errors import InputError

TEMP = ".tmp"
NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EBADF)
"""What file systems say that have no locks, or none of this kind, as NFS has none of folders."""


def temp_of(path: Path, by: str = "") -> Path:
    """Name the temp file that becomes a file."""
    return path.with_name(f".{path.name}{by and f'.{by}'}{TEMP}")


@contextmanager
def atomic(path: Path, by: str = "") -> Iterator[IO[bytes]]:
    """Open a temp file beside `path`; at the end of the block it becomes `path`, or nothing does.

    Its name is always the same, so that the next attempt takes the place of what a killed one left; a second process
    that writes the same file at the same time is refused by an InputError. Those that write the same bytes may stand
    beside each other, each with a name of its own in `by`.
    """
    temp = temp_of(path, by)
    with _named(path, temp):
        if temp.is_symlink():
            temp.unlink()  # what it leads to is none of ours
        # Opened as it is: what a living process writes there is not ours to cut off, nor what a link leads to.
        with open(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb") as stream:
            if not _claimed(stream, temp):
                raise InputError(
                    f"{path} is being written by another process: wait for it, or choose another --out"
                )
            stream.truncate(0)
            try:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(temp, path)
            except BaseException:
                temp.unlink(missing_ok=True)
                raise
        sync_folder(path.parent)


@contextmanager
def _named(path: Path, temp: Path) -> Iterator[None]:
    """Let system errors name the file as the user knows it: a full disk names none, others the temp file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temp)):
            raise  # of another file, such as one that is read meanwhile
        raise OSError(error.errno, error.strerror, str(path)) from None


def _claimed(stream: IO[bytes], temp: Path) -> bool:
    """Keep a temp file for this process alone, as long as it is open."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        return os.path.samestat(os.stat(temp), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False  # between our two steps it became the file of whoever had it


def make_folder(path: Path) -> None:
    """Make a folder and those above it, to stay after a power loss."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; keys keep their order, so that equal values give equal bytes."""
    with atomic(path) as stream:
        stream.write((json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file of ours; InputError names it where it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: missing; {what}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); {what}") from None


def refuse_url(path: Path, what: str) -> None:
    """Raise InputError where a URL was given for what is on this machine; `what` is that, in the plural."""
    match = re.match(r"([a-z][a-z0-9+.-]+):/+(.*)", str(path))  # a path has one slash of the two
    if match and not path.parent.exists():
        scheme, rest = match.groups()
        bare = re.sub(r"^[^/]*@", "", rest.partition("?")[0])  # neither a password nor a signature is shown
        raise InputError(
            f"{scheme}://{bare}: {what} are read and written on this machine: give a path, and copy "
            "between it and the store"
        )


def require_folder(out: Path, what: str) -> None:
    """Raise InputError where there is no folder for a file to be written; `what` is its content, in the plural."""
    if not out.parent.is_dir():
        refuse_url(out, what)
        raise InputError(f"{out.parent}: no such folder for {what}")


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise InputError where an output would replace something without `overwrite`."""
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; --overwrite replaces it")


def refuse_input(out: Path, *inputs: Path | str) -> None:
    """Raise InputError where an output would replace what it is made of, `overwrite` or not."""
    if out.exists() and any(Path(each).exists() and out.samefile(each) for each in inputs):
        raise InputError(f"{out} is an input of this command; choose another --out")


def sha256(path: Path) -> str:
    """Give the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

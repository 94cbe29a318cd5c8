"""A run folder on an object store (extra `remote`). There is no rename there: a file is one PUT."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, cast
from urllib.parse import urlsplit

from scar.errors import InputError, RunError
from scar.pools.guarded import guarded
from scar.pools.remote import client_errors, missing
from scar.runs import lease as leases
from scar.runs.conditional import Conditional, Stored, conditional
from scar.runs.folder import Listed
from scar.runs.lease import Lease
from scar.runs.lock import Owner, log_taken, refused
from scar.runs.names import LOCK
from scar.runs.shard import Shard

log = logging.getLogger("scar")
ONE_PUT = 64 << 20
"""Bytes up to which an object is one PUT; a larger one is an upload in parts, there when the last step is done."""
AT_ONCE = 256
"""Small objects that are read together."""
RETRIES = 8
"""Attempts of a request that meets a 5xx, a 429 or a broken connection, with jitter: half a minute or more."""


def open_remote(url: str) -> "Remote":
    """Give the run folder of a URL. Raises InputError where the extra is missing, or the URL cannot be one."""
    _check(url)
    scheme = url.partition("://")[0]
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url.rstrip("/"), **_options(scheme))
    except ImportError as error:
        raise missing(scheme, error) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{url}: not to be had: {error}") from None
    return Remote(url.rstrip("/"), system, path)


def _check(url: str) -> None:
    """Refuse what cannot be the URL of a run folder, without showing what may be a secret in it."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url}: not a URL: {error}") from None
    if parts.username or parts.password:
        raise InputError("the run's URL holds a user name or password; give these in the environment")
    bare = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parts.scheme in ("http", "https", "file"):
        raise InputError(f"{bare}: a run folder is a path or on a store such as s3://, not {parts.scheme}://")
    if parts.query or parts.fragment or any(mark in url for mark in "*?[]"):
        raise InputError(f"{bare}: the URL of a run folder has no query and no *, ?, [ or ]")


def _options(scheme: str) -> dict[str, Any]:
    """Give what the store's client is told: others write there too, and a request may fail."""
    if scheme not in ("s3", "s3a"):
        return {"use_listings_cache": False}
    from s3fs.core import set_custom_error_handler

    set_custom_error_handler(_busy)
    attempts = int(os.environ.get("AWS_MAX_ATTEMPTS") or RETRIES)
    retries = {"mode": "standard", "total_max_attempts": attempts}
    return {"use_listings_cache": False, "config_kwargs": {"retries": retries}}


def _busy(error: Exception) -> bool:
    """Tell an answer to try again after, which botocore knows by some of its names only."""
    answer = getattr(error, "response", None) or {}
    return bool(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") == 429)


class Remote:
    """A run folder behind a URL."""

    def __init__(self, url: str, system: Any, path: str, seconds: float | None = None) -> None:
        """`path` is the folder's, as the fsspec file system has it; `seconds` are those of its leases."""
        self._url, self._system, self._root = url, system, path.rstrip("/")
        self._seconds = seconds or leases.SECONDS
        self._lease: Lease | None = None
        # s3fs asks for the size of an object that it might read in parts: a small one is one request without that.
        self._whole = {"max_concurrency": 1} if url.startswith("s3") else {}

    @property
    def place(self) -> str:
        """URL."""
        return self._url

    def prepare(self, *more: str) -> None:
        """Do nothing: a store has no folders, and no half of an object."""

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Collect the bytes, and put them. Raises RunError where the lease was lost."""
        with tempfile.SpooledTemporaryFile(ONE_PUT) as whole:
            yield cast(IO[bytes], whole)
            size = whole.tell()
            whole.seek(0)
            self._check_lease()
            with self._told(name, writing=True):
                if size <= ONE_PUT:
                    self._system.pipe_file(self._path(name), whole.read())
                else:
                    self._upload(name, cast(IO[bytes], whole))

    def _upload(self, name: str, whole: IO[bytes]) -> None:
        out = self._system.open(self._path(name), "wb")
        try:
            shutil.copyfileobj(whole, out, 1 << 20)
            out.close()
        except BaseException:
            out.discard()  # to leave the block of a `with` would make an object of what is there
            out.closed = True
            raise

    def open(self, name: str) -> IO[bytes]:
        """Open an object; only what is read is fetched."""
        with self._told(name):
            stream = self._system.open(self._path(name), "rb")
        return guarded(stream, lambda: self._told(name))

    def read_all(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Read objects, many at once."""
        for start in range(0, len(names), AT_ONCE):
            paths = [self._path(name) for name in names[start : start + AT_ONCE]]
            with self._told(names[start]):
                found = self._system.cat(paths, on_error="return", **self._whole)
                yield from [_content(found[path]) for path in paths]

    def names(self) -> set[str] | None:
        """List what begins with the folder's name and a slash."""
        return {self._inner(info) for info in self._list("")} - {""} or None

    def listing(self, under: str = "") -> dict[str, Listed]:
        """List objects."""
        prefix = f"{under}/" if under else ""
        return {
            prefix + self._inner(info): Listed(int(info["size"]), _modified(info))
            for info in self._list(under)
            if info["type"] == "file"
        }

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, many at once."""
        self._check_lease()
        wanted = list(names)
        there = {name for room in {name.rpartition("/")[0] for name in wanted} for name in self.listing(room)}
        if gone := [self._path(name) for name in wanted if name in there]:
            with self._told(wanted[0], writing=True):
                self._system.rm(gone)

    @contextmanager
    def hold(self, shard: Shard | None = None) -> Iterator[Owner | None]:
        """Hold a lease of the folder, or of a shard."""
        with self._told(LOCK, writing=True):
            store = conditional(self._system, self._url)
            lease = Lease(store, self._lock(shard), self._url, Owner.this(shard), self._seconds)
            dead = lease.take()
        try:
            with self._told(LOCK, writing=True):
                lease.prove()
                self._keep_out(store, shard)
            if dead:
                log_taken(self._url, dead)
            with lease.kept():
                self._lease = lease
                yield dead
        finally:
            self._lease = None
            try:
                with self._told(LOCK, writing=True):
                    lease.end()
            except (InputError, RunError) as error:  # no reason to forget why the block ended
                log.warning("%s; the lease of this run ends by itself in %.0f s", error, self._seconds)

    def owners(self) -> list[Owner]:
        """Look at the leases."""
        with self._told(LOCK):
            store = conditional(self._system, self._url)
            if whole := leases.living(store.read(self._lock(None))):
                return [whole]
            found = (leases.living(stored) for _, stored in self._shards(store))
            return [owner for owner in found if owner]

    def locked(self) -> bool:
        """Read the lease: an ended one stays, and tells of nobody."""
        with self._told(LOCK):
            return leases.died(conditional(self._system, self._url).read(self._lock(None))) is not None

    def _keep_out(self, store: Conditional, shard: Shard | None) -> None:
        """Look at the others' leases, our own being taken; end those of the dead, lest they wake.

        Of two that begin at the same moment each sees the other, so that at most one goes on.
        """
        if shard is None:
            others = self._shards(store)
        else:
            whole = self._lock(None)
            others = [(whole, stored)] if (stored := store.read(whole)) else []
            others += [each for each in self._shards(store, but=shard.of)]
        for path, stored in others:
            if owner := leases.living(stored):
                raise leases.still_held(self._url, stored, owner)
            if (dead := leases.died(stored)) and not leases.end(store, path, stored):
                raise refused(self._url, dead)
        if shard is None and others:
            self._system.rm([path for path, _ in others])  # the whole is ours, so nobody can take one up

    def _shards(self, store: Conditional, but: int = 0) -> list[tuple[str, Stored]]:
        """Read the leases of shards, but for those of so many."""
        names = [name for name in self.listing() if name.startswith(f"{LOCK}.")]
        paths = [self._path(name) for name in sorted(names) if not name.endswith(f"-{but}")]
        with ThreadPoolExecutor(16) as threads:
            return [
                (path, each) for path, each in zip(paths, threads.map(store.read, paths), strict=True) if each
            ]

    def _lock(self, shard: Shard | None) -> str:
        return self._path(f"{LOCK}.{shard.number}-{shard.of}" if shard else LOCK)

    def _check_lease(self) -> None:
        if self._lease:
            with self._told(LOCK, writing=True):
                self._lease.check()

    def _list(self, under: str) -> list[dict[str, Any]]:
        with self._told(under):
            self._system.invalidate_cache()  # what was listed before may have changed since
            try:
                return cast(list[dict[str, Any]], self._system.ls(self._path(under).rstrip("/"), detail=True))
            except FileNotFoundError:
                return []

    def _inner(self, info: dict[str, Any]) -> str:
        """Give the last part of a listed name; nothing for the folder's own marker, which some tools make."""
        path = str(info["name"]).rstrip("/")
        return "" if path == self._root else path.rpartition("/")[2]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _told(self, name: str, *, writing: bool = False) -> Iterator[None]:
        """Turn what a store answers into an error of one line: the user's, where it says no; else the run's."""
        url = f"{self._url}/{name}".rstrip("/")
        try:
            yield
        except FileNotFoundError:
            if not writing:
                raise
            raise InputError(f"{url}: no such bucket") from None
        except PermissionError as error:
            raise InputError(f"{url}: the store refuses: {error}") from None
        except (OSError, *client_errors()) as error:  # type: ignore[misc]
            why = f"{type(error).__name__}: {error}"
            raise RunError(
                f"{url}: the store fails ({why}); what is done stays, the same command goes on"
            ) from None


def _content(found: Any) -> bytes | None:
    if isinstance(found, FileNotFoundError):
        return None
    if isinstance(found, Exception):
        raise found
    return bytes(found)


def _modified(info: dict[str, Any]) -> float:
    """Give when an object was written, as its store calls it; 0 where it does not say."""
    told = next(
        (info[name] for name in ("LastModified", "updated", "mtime", "created") if info.get(name)), None
    )
    if isinstance(told, str):
        told = datetime.fromisoformat(told)
    return told.timestamp() if isinstance(told, datetime) else float(told or 0)

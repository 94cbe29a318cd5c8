"""Pools behind a URL: S3, GCS, HTTP and whatever else fsspec has a file system for (extra `remote`)."""

import errno
import hashlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast
from urllib.parse import urlsplit

from scar.errors import InputError, RunError
from scar.pools.guarded import guarded
from scar.pools.places import COLUMNAR, SUFFIXES, PoolFile, kind_of, told_apart
from scar.pools.web import WebText

_MARKS = ("ETag", "etag", "md5Hash", "crc32c", "sha256")
"""What stores call the mark that changes with a file's content."""

_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created", "ino")
"""What stores call the times that a file is touched at."""


@dataclass(frozen=True)
class Remote:
    """Files of one fsspec file system."""

    system: Any

    def open(self, place: str) -> IO[bytes]:
        """Open a file; only what is read is fetched."""
        with told(place):
            stream = self.system.open(self._path(place), "rb")
        return guarded(stream, lambda: read_told(place))

    def facts(self, place: str) -> tuple[int, str]:
        """Give the size, and the store's own mark of the content; the SHA-256 where it has none."""
        with told(place):
            info = self.system.info(self._path(place))
            mark = next((f"{name.lower()}:{info[name]}" for name in _MARKS if info.get(name)), None)
            if mark is None:
                with self.open(place) as stream:
                    mark = hashlib.file_digest(cast(io.BufferedReader, stream), "sha256").hexdigest()
            return int(info["size"] or 0), mark

    def stamp(self, place: str) -> str:
        """Give the store's marks and times; nothing where it has none."""
        with told(place):
            info = self.system.info(self._path(place))
        known = [f"{name}={info[name]}" for name in (*_MARKS, *_TIMES) if info.get(name)]
        return f"{info['size']}:{':'.join(known)}" if known else ""

    def forget(self) -> None:
        """Drop what was listed."""
        self.system.invalidate_cache()

    def _path(self, place: str) -> str:
        return str(self.system._strip_protocol(place))


@dataclass(frozen=True)
class Web(Remote):
    """Files of a web server."""

    query: str = ""
    """What the server wants behind the path, such as a signature; it is never shown."""

    def open(self, place: str) -> IO[bytes]:
        """Open a file; a text comes as one stream from where it is begun, for many servers give no part of a file."""
        if kind_of(place) in COLUMNAR.values():
            return super().open(place)

        def ask(headers: dict[str, str]) -> Any:
            with told(place):
                return self.system.open(self._path(place), "rb", block_size=0, headers=headers)

        return guarded(WebText(ask), lambda: read_told(place))

    def _path(self, place: str) -> str:
        return f"{place}?{self.query}" if self.query else place


def find_remote(url: str) -> list[PoolFile]:
    """List the files that a URL names: a file, a folder or a glob.

    Raises InputError where the extra is missing, the URL holds a secret, or nothing is there.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        # What cannot be taken apart may hold a password anywhere.
        raise InputError(f"{url.partition('://')[0]}://...: not a URL: {error}") from None
    if parts.username or parts.password:
        raise InputError("a pool's URL holds a user name or password; give these in the environment")
    scheme = url.partition("://")[0]
    try:
        from fsspec.core import url_to_fs

        with told(url):
            system, path = url_to_fs(url)
    except ImportError as error:
        raise missing(scheme, error) from None
    if scheme in ("http", "https"):
        return [_on_the_web(url, system)]
    with told(url):
        system.invalidate_cache()  # what was listed before may have changed since
        root, paths = _listed(system, path)
    if not paths:
        raise InputError(f"{_bare(url)}: no pool files there (looked for {', '.join(SUFFIXES)})")
    store = Remote(system)
    return [
        PoolFile(
            system.unstrip_protocol(p),
            told_apart(p.removeprefix(root).lstrip("/") or p.rpartition("/")[2]),
            kind,
            store,
        )
        for p in paths
        if (kind := kind_of(p))
    ]


def missing(scheme: str, error: ImportError) -> InputError:
    """Make the error for a store whose client is not installed: the extra brings those of S3, GCS and the web."""
    if scheme in ("s3", "s3a", "gs", "gcs", "http", "https"):
        return InputError(f"{scheme}:// needs the remote extra: pip install 'scar-rank[remote]' ({error})")
    return InputError(f"{scheme}:// needs a package that no extra of ours brings ({error})")


def _on_the_web(url: str, system: Any) -> PoolFile:
    """Give the one file that a web address names: a web server has no folders, and its `?` is no glob."""
    parts = urlsplit(url)
    name, kind = parts.path.rpartition("/")[2], kind_of(parts.path)
    if not kind:
        raise InputError(f"{_bare(url)}: not a pool file ({', '.join(SUFFIXES)})")
    with told(url):
        system.info(url)  # whether it is there
    return PoolFile(_bare(url), name, kind, Web(system, parts.query))


def _listed(system: Any, path: str) -> tuple[str, list[str]]:
    """Give the folder that names are told from, and the files of our types."""
    if any(mark in path for mark in "*?["):
        fixed = path[: min(path.index(mark) for mark in "*?[" if mark in path)].rpartition("/")[0]
        return fixed, [p for p in sorted(system.glob(path)) if kind_of(p)]
    if system.isfile(path):
        return path.rpartition("/")[0], [path] if kind_of(path) else []
    root = path.rstrip("/")
    inside = [p for p in sorted(system.find(path)) if kind_of(p) and not _hidden(p.removeprefix(root))]
    # Settings beside the data are no rows; one that is wanted can be named.
    return root, [p for p in inside if kind_of(p) != "json"] or inside


def _hidden(inner: str) -> bool:
    return any(part.startswith(".") for part in inner.split("/"))


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn what a store answers into an InputError that names the URL, without what may be a secret in it."""
    bare = _bare(url)
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{bare}: no such file, folder or bucket") from None
    except PermissionError as error:
        raise InputError(f"{bare}: the store refuses: {error}") from None
    except ImportError:
        raise
    except (OSError, ValueError, *client_errors()) as error:  # type: ignore[misc]
        raise InputError(f"{bare}: not to be had: {type(error).__name__}: {error}") from None


@contextmanager
def read_told(place: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into an error of one line: InputError where the file changed."""
    try:
        yield
    except (OSError, *client_errors()) as error:  # type: ignore[misc]
        # s3fs pins what it opened: EBUSY says that another object has its name now.
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) == errno.EBUSY:
            raise InputError(f"{place}: changed while it was read: {error}") from None
        why = f"{type(error).__name__}: {error}"
        raise RunError(f"{place}: the connection broke ({why}); run the same again") from None


def _bare(url: str) -> str:
    """Give a URL without its query, in which a signature may stand; in a glob a `?` is no query."""
    return urlsplit(url)._replace(query="", fragment="").geturl() if url.startswith("http") else url


def client_errors() -> tuple[type[Exception], ...]:
    """Give the bases of the store clients' own errors: only of those that are loaded."""
    known = (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError"))
    return tuple(getattr(sys.modules[module], name) for module, name in known if module in sys.modules)

"""What a pool argument names: a file, a folder, a glob, a URL, a data set of the Hub, or several of these."""

import io
import itertools
import json
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

from scar.errors import InputError
from scar.files import sha256
from scar.pools.packed import Unpacked
from scar.pools.start import BEGIN, BLOCK, Start, skip

log = logging.getLogger("scar")
Place = str | Path
PACKED = (".gz", ".zst")
TEXT = {".jsonl": "jsonl", ".json": "json", ".csv": "csv"}
COLUMNAR = {".parquet": "parquet", ".arrow": "arrow"}
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".csv", ".parquet", ".arrow")
"""What messages name; .json and .csv may be packed too."""


class Store(Protocol):
    """Where the bytes of a file are."""

    def open(self, place: str) -> IO[bytes]:
        """Open a file for reading at any place."""

    def facts(self, place: str) -> tuple[int, str]:
        """Give a file's size, and what changes when the file does."""

    def stamp(self, place: str) -> str:
        """Give what changes when the file is touched, without reading it; nothing where the store cannot tell."""

    def forget(self) -> None:
        """Ask anew for what was known of the files before."""


@dataclass(frozen=True)
class Local:
    """Files of this machine."""

    def open(self, place: str) -> IO[bytes]:
        """Open a file."""
        return open(place, "rb")

    def facts(self, place: str) -> tuple[int, str]:
        """Give the size and the SHA-256."""
        return os.stat(place).st_size, sha256(Path(place))

    def stamp(self, place: str) -> str:
        """Give size, time of the last change of content and of anything, and the file's number."""
        stat = os.stat(place)
        return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"

    def forget(self) -> None:
        """Do nothing: a disk is asked each time."""


@dataclass(frozen=True, slots=True)
class PoolFile:
    """One file of a pool."""

    place: str
    """Path or URL."""
    name: str
    """Path relative to the pool argument, with forward slashes."""
    kind: str
    """Type of the file, whether packed or not: jsonl, json, csv, parquet, arrow, hub."""
    store: Store = field(default_factory=Local)

    def open(self, start: Start = BEGIN) -> IO[bytes]:
        """Open the file's bytes, unpacked, at the row of `start`; what is below closes with it, also on an error."""
        stream = self.store.open(self.place)
        name = self.name.lower()
        try:
            if name.endswith(PACKED):
                return cast(IO[bytes], Unpacked(name, stream, start))
            skip(stream, start.offset)
        except BaseException:
            stream.close()
            raise
        # A store's own stream may know no bound for a line.
        text = self.kind in TEXT.values() and not isinstance(stream, io.BufferedReader)
        return io.BufferedReader(cast(io.RawIOBase, stream), BLOCK) if text else stream

    def facts(self) -> tuple[int, str]:
        """Give the file's size, and what changes when the file does: a hash, or the store's own mark."""
        return self.store.facts(self.place)

    def stamp(self) -> str:
        """Give what changes when the file is touched, without reading it: an equal one spares hashing it again.

        Empty where the store tells nothing of the kind.
        """
        return self.store.stamp(self.place)


def kind_of(name: str) -> str | None:
    """Tell a file's type by its suffix, None where it is no type of ours."""
    bare = Path(name.lower())
    if bare.suffix in PACKED:
        return TEXT.get(Path(bare.stem).suffix)
    return (TEXT | COLUMNAR).get(bare.suffix)


def find(where: Place | Sequence[Place]) -> list[PoolFile]:
    """List the files of a pool.

    Raises InputError where nothing is there, saying what was looked for.
    """
    places = [where] if isinstance(where, str | Path) else list(where)
    # An unset variable of a shell gives "": that must not be the current folder and all below it.
    if not places or "" in places:
        raise InputError("the pool has no name; give a file, folder, glob, URL or Hub name")
    files = [file for place in places for file in _find(place)]
    twice = [name for name, times in Counter(file.name for file in files).items() if times > 1]
    if twice:
        raise InputError(f"the pool names {twice[0]} twice; name a file once, or the folder above both")
    return files


def recorded(where: Place | Sequence[Place], files: Sequence[PoolFile] = ()) -> tuple[str, ...]:
    """Give the places as a plan keeps them: absolute paths, Hub names at a commit, URLs without a secret."""
    places = [where] if isinstance(where, str | Path) else list(where)
    # A data set that has moved on must be read again at the commit that was scored.
    commits = iter([file.place for file in files if file.kind == "hub"])
    return tuple(
        next(commits, str(place)) if isinstance(place, str) and _is_hub_name(place) else _recorded(str(place))
        for place in places
    )


def _recorded(place: str) -> str:
    if "://" in place:
        parts = urlsplit(place)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return str(Path(place).absolute())


def _find(place: Place) -> list[PoolFile]:
    if isinstance(place, str) and "://" in place:
        from scar.pools.remote import find_remote

        return find_remote(place)
    path = Path(place)
    if path.is_dir():
        return _folder(path)
    if path.exists():
        if not kind_of(path.name):
            raise InputError(f"{path}: not a pool file ({', '.join(SUFFIXES)})")
        return [_file(path, Path(path.name))]
    root, matches = _glob(path)
    if not matches and _is_hub_name(str(place)):
        from scar.pools.hub import find_on_hub

        return find_on_hub(str(place))
    if not matches:
        lost = isinstance(place, Path) and re.match(r"[a-z][a-z0-9]+:/[^/]", str(place))
        remedy = "; a URL is given as text: a Path loses one of its slashes" if lost else ""
        raise InputError(f"{place}: no such file, folder or glob{remedy}")
    found = (
        _file(Path(file.place), match.relative_to(root) / (file.name if match.is_dir() else ""))
        for match in matches
        for file in _find(match)
    )
    # `**` matches a folder and what is in it.
    return list({file.name: file for file in found}.values())


_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?(:[\w.-]+){0,2}")


def _is_hub_name(place: str) -> bool:
    """Tell whether a name could be one of the Hub, `org/name[@revision][:config][:split]`, and of nothing here.

    Below a folder that exists it is taken for a path that is mistyped: that must not go to the network.
    """
    inside = Path(place).parts[0] if Path(place).parts else ""
    return bool(_HUB_NAME.fullmatch(place)) and not kind_of(place) and not Path(inside).exists()


def _folder(folder: Path) -> list[PoolFile]:
    inside = sorted(path for path in folder.rglob("*") if kind_of(path.name) and _is_pool(path, folder))
    beside = {path.parent for path in inside if path.suffix == ".arrow"}
    saved = {
        place: _saved_files(place / "state.json") for place in beside if (place / "state.json").is_file()
    }
    # What `datasets` caches beside a data set that it saved is no part of it.
    inside = [
        path for path in inside if path.suffix != ".arrow" or path.name in saved.get(path.parent, {path.name})
    ]
    if not inside:
        raise InputError(f"{folder}: no pool files in this folder (looked for {', '.join(SUFFIXES)})")
    _tell_links(folder, inside)
    return [_file(path, path.relative_to(folder)) for path in inside]


def _tell_links(folder: Path, files: Sequence[Path]) -> None:
    """Say of files that stand elsewhere that they are read: whoever made the folder chose them."""
    linked = [
        path for path in files if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())
    ]
    if linked:
        first = f"{linked[0]} -> {linked[0].resolve()}"
        log.info("%s: %d files are links out of the folder, and are read: %s", folder, len(linked), first)


def _is_pool(path: Path, folder: Path) -> bool:
    """Leave alone hidden files, our own run folders, what stands beside kept files, and settings."""
    inner = path.relative_to(folder).parts
    ours = any(_is_ours(folder.joinpath(*inner[:depth])) for depth in range(1, len(inner)))
    if not path.is_file() or ours or any(part.startswith(".") for part in inner):
        return False
    return not path.name.endswith(".json") or _has_rows(path)


def _is_ours(folder: Path) -> bool:
    return (folder / "ledger").is_dir() or (
        folder.name.endswith(".why") and (folder / "manifest.json").is_file()
    )


def _has_rows(path: Path) -> bool:
    """Tell whether a .json file in a folder holds rows, not settings: an array, or an object on each of two lines."""
    with open(path, "rb") as stream:
        start = stream.read(1 << 24).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return True
    rows = re.match(rb"\{[^\n]*\}[ \t\r]*\n\s*\{", start) is not None
    if not rows:
        log.info("%s: left alone, it holds no array of rows", path)
    return rows


def _saved_files(state: Path) -> set[str]:
    """Give the files of a saved data set. Raises InputError where one of them is not there."""
    try:
        names = {str(file["filename"]) for file in json.loads(state.read_bytes())["_data_files"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{state}: not the state of a saved data set ({error})") from None
    if elsewhere := sorted(name for name in names if Path(name).name != name or "\0" in name):
        raise InputError(f"{state}: {elsewhere[0]!r} is not a file of this folder")
    if gone := sorted(name for name in names if not (state.parent / name).is_file()):
        raise InputError(f"{state.parent}: the saved data set is not whole: {gone[0]} is missing")
    return names


def _file(path: Path, name: Path) -> PoolFile:
    try:
        name.as_posix().encode()
    except UnicodeEncodeError:
        raise InputError(f"{os.fsencode(path)!r}: the file's name is not UTF-8; rename it") from None
    return PoolFile(str(path), told_apart(name.as_posix()), kind_of(path.name) or "")


def told_apart(name: str) -> str:
    """Give a name as it goes into the scores; InputError where it could be taken for another, or for two lines."""
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        raise InputError(f"{name!r}: the file's name holds a line break or a control character; rename it")
    if ".." in name.split("/"):
        raise InputError(f"{name}: the file's name leads through '..'; name the folder itself")
    return name


def _glob(place: Path) -> tuple[Path, list[Path]]:
    """Give the part of a glob before its first mark, and what it matches."""
    fixed = list(itertools.takewhile(lambda part: not any(mark in part for mark in "*?["), place.parts))
    root = Path(*fixed) if fixed else Path()
    rest = place.parts[len(fixed) :]
    return root, sorted(root.glob(str(Path(*rest)))) if rest else []

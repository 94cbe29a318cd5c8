"""Where a run folder is: named files, each written whole or not at all. A disk here; a store behind a URL elsewhere."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from scar.errors import InputError
from scar.files import atomic, make_folder, sync_folder
from scar.runs.lock import Owner, hold, owners
from scar.runs.names import CHUNKS, EMBEDDINGS, LEDGER, LOCK, PLAN, SET_ASIDE_PARTS, half_written
from scar.runs.shard import Shard

ROOMS = (CHUNKS, SET_ASIDE_PARTS, LEDGER)
"""Folders of every run."""
ALL_ROOMS = (*ROOMS, EMBEDDINGS)
"""With those of some."""


class Listed(NamedTuple):
    """A file as a listing shows it."""

    bytes: int
    modified: float
    """Seconds since 1970; of an entry of the ledger, when its chunk was done."""


class Folder(Protocol):
    """A run folder. Names are relative, with forward slashes."""

    @property
    def place(self) -> str:
        """Path or URL."""
        ...

    def prepare(self, *more: str) -> None:
        """Make the folder ready to be written to, and take away what a killed process left half done.

        `more` names the rooms that not every run has.
        """
        ...

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for writing; at the end of the block it is there whole and to stay, or it is not there."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading. Raises FileNotFoundError."""
        ...

    def read_all(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Read many small files; None for one that is not there."""
        ...

    def names(self) -> set[str] | None:
        """Give the names of the files and folders right below; None where there is no folder."""
        ...

    def listing(self, under: str = "") -> dict[str, Listed]:
        """Give the files right below the folder, or below one of its folders, by name."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is not there is none to remove."""
        ...

    def hold(self, shard: Shard | None = None) -> AbstractContextManager[Owner | None]:
        """Be the folder's only writer, or the only one of a shard, for the block; gives the last one if it died.

        Raises InputError naming the owner that lives.
        """
        ...

    def owners(self) -> list[Owner]:
        """Say who writes to it now."""
        ...

    def locked(self) -> bool:
        """Tell whether somebody writes to the whole of it, or died over it."""
        ...


@dataclass(frozen=True)
class Disk:
    """A run folder on a disk."""

    path: Path
    by: str = ""
    """Name of a writer that may write what another one writes, the same bytes, at the same time."""

    @property
    def place(self) -> str:
        """Path."""
        return str(self.path)

    def prepare(self, *more: str) -> None:
        """Make the folders, and remove the temp files of a process that was killed."""
        make_folder(self.path)
        for room in (*ROOMS, *more):
            self._room(room).mkdir(exist_ok=True)
        there = (self._room(room) for room in ALL_ROOMS)
        for folder in (self.path, *(room for room in there if room.is_dir())):
            for name in os.listdir(folder):
                if half_written(name):
                    (folder / name).unlink(missing_ok=True)
        sync_folder(self.path)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a temp file that becomes the file."""
        with atomic(self._inside(name), self.by) as stream:
            yield stream

    def open(self, name: str) -> IO[bytes]:
        """Open a file."""
        return open(self._inside(name), "rb")

    def read_all(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Read files one after the other."""
        for name in names:
            try:
                yield self._inside(name).read_bytes()
            except FileNotFoundError:
                yield None

    def names(self) -> set[str] | None:
        """List the folder. Raises InputError where it is a file."""
        try:
            return set(os.listdir(self.path))
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise InputError(f"{self.path} is a file; a run is a folder") from None

    def listing(self, under: str = "") -> dict[str, Listed]:
        """Scan a folder; a link is listed as what it is itself."""
        try:
            with os.scandir(self._room(under) if under else self.path) as entries:
                found = [
                    (entry.name, entry.stat(follow_symlinks=False))
                    for entry in entries
                    if not entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return {}
        prefix = f"{under}/" if under else ""
        return {prefix + name: Listed(stat.st_size, stat.st_mtime) for name, stat in found}

    def remove(self, names: Iterable[str]) -> None:
        """Unlink files, to stay away after a power loss too; with the plan go the folders of ours that are empty."""
        paths = [self._inside(name) for name in names]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            if folder.is_dir():
                sync_folder(folder)
        # While there is a plan they tell whoever reads the folder above that this is no pool.
        for room in ALL_ROOMS if self.path / PLAN in paths else ():
            if (self.path / room).is_dir() and not any((self.path / room).iterdir()):
                (self.path / room).rmdir()

    def hold(self, shard: Shard | None = None) -> AbstractContextManager[Owner | None]:
        """Lock the folder."""
        make_folder(self.path)
        return hold(self.path, shard)

    def owners(self) -> list[Owner]:
        """Look at the locks."""
        return owners(self.path)

    def locked(self) -> bool:
        """Look for a lock, whoever's."""
        return (self.path / LOCK).exists()

    def _inside(self, name: str) -> Path:
        room, _, file = name.rpartition("/")
        return self._room(room) / file if room else self.path / name

    def _room(self, name: str) -> Path:
        """Give the path of a folder of ours. Raises InputError where it is a link, which leads out of the run."""
        path = self.path / name
        if path.is_symlink():
            raise InputError(f"{path}: a link; a run folder holds its own folders")
        return path


def open_folder(place: "str | Path | Folder") -> Folder:
    """Give the run folder of a path or URL."""
    if isinstance(place, str) and "://" in place:
        from scar.runs.remote import open_remote

        return open_remote(place)
    return Disk(Path(place)) if isinstance(place, str | Path) else place

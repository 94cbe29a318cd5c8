"""The embeddings of a run's records, a block at a time: as many of them as fit on the disk. Knows no model.

A record's embedding has length 1; one that was set aside has NaN everywhere.
"""

import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.runs.checked import read_checked
from scar.runs.folder import Disk, Folder
from scar.runs.names import embeddings_name, entry_name
from scar.runs.plan import Plan

BLOCK = 8192
"""Embeddings that are taken at once."""
AT_ONCE = 16
"""Files that are fetched together from a store."""
LONGEST_HEAD = 1 << 10
_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00\{'descr': '<f2', 'fortran_order': False, 'shape': \((\d{1,18}), ([1-9]\d{0,17})\), \} *\n"
)
"""What numpy writes at the beginning of such a file."""


@dataclass(frozen=True)
class Mapped:
    """An array in a file of a disk: mapped when something of it is taken, and let go again.

    A map of each chunk's file, kept, would be an open file a chunk.
    """

    path: Path
    shape: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        """Give the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> NDArray[Any]:
        """Give a copy of some rows."""
        return np.array(np.load(self.path, mmap_mode="r", allow_pickle=False)[rows])


Part = NDArray[Any] | Mapped


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of n records in d dimensions, in the order of the sidecar; parts may be files."""

    parts: tuple[Part, ...]
    """Each of shape (records of a chunk, d)."""

    def __post_init__(self) -> None:
        """Check the shapes."""
        if not self.parts or len({part.shape[1:] for part in self.parts}) != 1 or self.parts[0].ndim != 2:
            raise InputError("embeddings need parts of shape (n, d) with one d")

    @classmethod
    def of_run(cls, folder: Folder, plan: Plan) -> "Embeddings":
        """Open a run's embeddings. Raises InputError where it was scored without, or a file of them is damaged."""
        if not plan.embedded:
            raise InputError(
                f"{folder.place}: it has no embeddings, which this rule needs: score the pool with --embeddings"
            )
        entries = folder.read_all([entry_name(chunk.index) for chunk in plan.chunks])
        records = [
            _records(folder, chunk.index, raw) for chunk, raw in zip(plan.chunks, entries, strict=True)
        ]
        if isinstance(folder, Disk):
            return cls(tuple(_part(folder, index, count) for index, count in enumerate(records)))
        return cls((_fetched(folder, records),) if records else ())

    @classmethod
    def of_array(cls, array: NDArray[Any]) -> "Embeddings":
        """Take embeddings that are in memory, shape (n, d), as they are."""
        return cls((np.asarray(array),))

    @property
    def shape(self) -> tuple[int, int]:
        """Records and dimensions."""
        return int(self._starts[-1]), int(self.parts[0].shape[1])

    def take(self, records: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the embeddings of some records, in their order: shape (m, d), float32."""
        found = np.empty((len(records), self.shape[1]), dtype=np.float32)
        where = np.searchsorted(self._starts, records, side="right") - 1
        for part in np.unique(where):
            here = np.flatnonzero(where == part)
            found[here] = self.parts[part][records[here] - self._starts[part]]
        return found

    def blocks(
        self, records: NDArray[np.int64], size: int = BLOCK
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield some records with their embeddings, in their order, `size` at a time."""
        for start in range(0, len(records), size):
            some = records[start : start + size]
            yield some, self.take(some)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(len(part) for part in self.parts)], dtype=np.int64)


def wrong_part(folder: Folder, index: int, records: int) -> str | None:
    """Say what is wrong with a chunk's embeddings, of so many records; None where they are whole."""
    try:
        with folder.open(embeddings_name(index)) as stream:
            return _wrong(stream, index, records)
    except FileNotFoundError:
        return _wrong(None, index, records)


def _wrong(stream: IO[bytes] | None, index: int, records: int) -> str | None:
    name = embeddings_name(index)
    if stream is None:
        return f"{name} is missing"
    try:
        shape = _shape(stream)
    except (ValueError, EOFError) as error:
        return f"{name} cannot be read: {error}"
    return None if shape[0] == records else f"{name} holds {shape[0]} embeddings, the chunk {records} records"


def _shape(stream: IO[bytes]) -> tuple[int, int]:
    """Read the head of a file of embeddings. Raises ValueError where it is none, or shorter or longer than it says."""
    # Numpy reads the head as an expression of Python, which a hostile one makes fail in many ways.
    mark = stream.read(10)
    head = stream.read(min(LONGEST_HEAD, int.from_bytes(mark[8:], "little")))
    found = _HEAD.fullmatch(mark[:8] + head)
    if found is None:
        told = head[:80].decode("ascii", "replace").strip()
        raise ValueError(f"it begins with {told!r}, not as float16 numbers of shape (records, d) do")
    shape = int(found[1]), int(found[2])
    start = stream.tell()
    if (there := stream.seek(0, 2) - start) != (needed := 2 * shape[0] * shape[1]):
        raise ValueError(f"{there} bytes of numbers, {needed} are needed")
    return shape


def _part(folder: Disk, index: int, records: int) -> Mapped:
    if wrong := wrong_part(folder, index, records):
        raise _damaged(folder, wrong)
    with folder.open(name := embeddings_name(index)) as stream:
        return Mapped(folder.path / name, _shape(stream))


def _fetched(folder: Folder, records: Sequence[int]) -> NDArray[np.float16]:
    """Fetch the embeddings of a store's chunks into a file of this machine that has no name, and map it."""
    widths = set()
    with tempfile.TemporaryFile() as file:
        for start in range(0, len(records), AT_ONCE):
            indices = range(start, min(start + AT_ONCE, len(records)))
            found = folder.read_all([embeddings_name(index) for index in indices])
            for index, raw in zip(indices, found, strict=True):
                stream = None if raw is None else io.BytesIO(raw)
                if wrong := _wrong(stream, index, records[index]):
                    raise _damaged(folder, wrong)
                assert stream
                stream.seek(0)
                array = np.lib.format.read_array(stream, allow_pickle=False)
                widths.add(array.shape[1])
                file.write(array.tobytes())
        if len(widths) != 1:
            raise InputError(f"{folder.place}: embeddings of several widths: {sorted(widths)}")
        shape = (sum(records), widths.pop())
        file.flush()
        return np.memmap(file, np.float16, "r", shape=shape) if shape[0] else np.empty(shape, np.float16)


def _damaged(folder: Folder, wrong: str) -> InputError:
    return InputError(f"{folder.place}: {wrong}: `scar verify {folder.place}` makes it anew")


def _records(folder: Folder, index: int, entry: bytes | None) -> int:
    """Give the records of a chunk, as its entry in the ledger counts them."""
    try:
        return int(read_checked(entry or b"")["records"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder.place}/{entry_name(index)}: missing or damaged: `scar verify {folder.place}` makes it anew"
        ) from None

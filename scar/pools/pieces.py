"""Cut the rows of a file into pieces: by their number, and by their bytes."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scar.pools.start import Start

Ints = npt.NDArray[np.int64]


class Most(NamedTuple):
    """When a piece ends: at so many rows, or once it has so many bytes."""

    rows: int
    bytes: int


class Mark(NamedTuple):
    """Rows that follow each other, as a plan sees them: number and line go up by one."""

    start: Start
    size: int
    """Bytes of each row; in a columnar file the mean of its group."""
    rows: int = 1


class Piece(NamedTuple):
    """Rows that become a chunk."""

    start: Start
    rows: int


def pieces(marks: Iterable[Mark], most: Most) -> Iterator[Piece]:
    """Cut rows that come one by one, or many of a size at a time, by arithmetic."""
    start, rows, size = Start(), 0, 0
    for mark in marks:
        done = 0
        while done < mark.rows:
            if rows and (rows >= most.rows or size >= most.bytes):
                yield Piece(start, rows)
                rows = size = 0
            if not rows:
                at = mark.start
                start = at._replace(offset=at.offset + done, line=at.line + done)
            fit = -(-(most.bytes - size) // mark.size) if mark.size > 0 else mark.rows
            taken = min(mark.rows - done, most.rows - rows, fit)
            rows, size, done = rows + taken, size + taken * mark.size, done + taken
    if rows:
        yield Piece(start, rows)


class Cutter:
    """Cuts rows whose sizes come as arrays."""

    def __init__(self, most: Most) -> None:
        self._most = most
        self._rows = self._size = 0

    def starts(self, sizes: Ints) -> Iterator[tuple[int, int]]:
        """Yield (place among these rows of the first row of a new piece, rows of the piece before it)."""
        ends = np.cumsum(sizes)
        at = 0
        while at < len(sizes):
            if not self._rows or self._rows >= self._most.rows or self._size >= self._most.bytes:
                yield at, self._rows
                self._rows = self._size = 0
            before = int(ends[at - 1]) if at else 0
            full = int(np.searchsorted(ends, before + self._most.bytes - self._size)) + 1
            to = min(len(sizes), at + self._most.rows - self._rows, full)
            self._rows, self._size, at = self._rows + to - at, self._size + int(ends[to - 1]) - before, to

    @property
    def left(self) -> int:
        """Rows of the last piece."""
        return self._rows

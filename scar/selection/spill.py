"""Kept rows on their way out, in a temp file: memory holds their places only. Knows no format."""

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np


class Spill:
    """Rows as bytes, each with its rank; given back as they came, or by rank."""

    def __init__(self, folder: Path) -> None:
        """`folder` has the room: /tmp may well be memory."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by the block
        self._ranks, self._sizes = array("q"), array("q")

    def __enter__(self) -> "Spill":
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the temp file."""
        self._file.close()

    def add(self, rank: int, row: bytes) -> None:
        """Take a row."""
        self._ranks.append(rank)
        self._sizes.append(self._file.write(row))

    def read(self, *, by_rank: bool) -> Iterator[bytes]:
        """Yield the rows."""
        ranks, sizes = np.frombuffer(self._ranks, dtype=np.int64), np.frombuffer(self._sizes, dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        for number in np.argsort(ranks, kind="stable") if by_rank else range(len(ranks)):
            self._file.seek(int(starts[number]))
            yield self._file.read(int(sizes[number]))

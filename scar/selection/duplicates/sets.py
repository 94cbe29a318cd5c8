"""Sets on disk: written once in order, read a few at a time. Knows nothing of what is in them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.ragged import Ragged, numbered, spread

_ELEMENTS = 1 << 21
"""Values that are compared at once."""


class SetFile:
    """Sets of 32-bit values in a temp file, 4 bytes a value; memory holds 8 bytes a set."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._out = open(path, "wb")  # noqa: SIM115  closed by `written`
        self._sizes: list[NDArray[np.int64]] = []

    def add(self, sets: Ragged) -> None:
        """Write some sets behind the others. Raises OSError where the disk is full."""
        # Not `tofile`: it says nothing of a full disk.
        with _naming(self._path):
            self._out.write(np.ascontiguousarray(sets.values).data)
        self._sizes.append(sets.sizes)

    def close(self) -> None:
        """End the writing, or the reading."""
        self._out.close()

    def written(self) -> "StoredSets":
        """End the writing, and give what is there."""
        with _naming(self._path):
            self.close()
        sizes = np.concatenate([np.zeros(0, dtype=np.int64), *self._sizes])
        return StoredSets(self._path, sizes)


class StoredSets:
    """The sets of a file."""

    def __init__(self, path: Path, sizes: NDArray[np.int64]) -> None:
        self._path, self.sizes = path, sizes
        self._starts = np.cumsum(sizes) - sizes

    def similar(self, a: NDArray[np.int64], b: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
        """Tell of pairs of sets, numbered by two arrays of one shape, whether their Jaccard similarity is enough."""
        small, large = np.minimum(self.sizes[a], self.sizes[b]), np.maximum(self.sizes[a], self.sizes[b])
        # No two sets are more similar than the share of their sizes: cheap, and exact.
        may = np.flatnonzero(small >= threshold * large * (1 - 1e-12))
        enough = np.zeros(len(a), dtype=bool)
        for part in self._parts((small + large)[may]):
            some = may[part]
            enough[some] = jaccard(self._take(a[some]), self._take(b[some])) >= threshold
        return enough

    def _parts(self, sizes: NDArray[np.int64]) -> Iterator[slice]:
        ends, begin = np.cumsum(sizes), 0
        while begin < len(sizes):
            done = int(ends[begin - 1]) if begin else 0
            stop = max(begin + 1, int(np.searchsorted(ends, done + _ELEMENTS, side="right")))
            yield slice(begin, stop)
            begin = stop

    def _take(self, numbers: NDArray[np.int64]) -> Ragged:
        sizes = self.sizes[numbers]
        if not sizes.any():
            return Ragged(np.zeros(0, dtype=np.uint32), sizes)
        # Mapped anew each time: pages that were read are not held.
        values = np.memmap(self._path, dtype=np.uint32, mode="r")
        return Ragged(np.asarray(values[spread(self._starts[numbers], sizes)]), sizes)


@contextmanager
def set_file(folder: Path | None = None) -> Iterator[SetFile]:
    """Open a file for sets in a folder, by default the system's for temp files (TMPDIR); it is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="scar-", dir=folder) as temp:
        sets = SetFile(Path(temp) / "sets")
        try:
            yield sets
        finally:
            sets.close()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file that could not be written: it is none of the user's own."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def jaccard(a: Ragged, b: Ragged) -> NDArray[np.float64]:
    """Give the Jaccard similarity of each set of `a` with the same of `b`; two empty sets are the same."""
    keys = [numbered(sets.sizes) << np.uint64(32) | sets.values for sets in (a, b)]
    # Two sorted runs: a stable sort merges them, ten times as fast as the default one sorts.
    both = np.sort(np.concatenate(keys), kind="stable")
    shared = (both[1:][both[1:] == both[:-1]] >> np.uint64(32)).astype(np.int64)
    common = np.bincount(shared, minlength=len(a))
    union = a.sizes + b.sizes - common
    return np.where(union == 0, 1.0, common / np.maximum(union, 1))

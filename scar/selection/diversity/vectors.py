"""Rows of length 1, and cosines that are the same whatever block they were computed in. Numpy only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.runs import Embeddings

Rows = NDArray[np.float32]
Places = NDArray[np.int64]

BLOCK = 8192
"""Rows that are read at once."""
MEMORY_GB = 4.0
"""Rows that an algorithm must hold may take so much of memory, unless the rule says otherwise."""
_HALF_UNIT = 2.0**-24
"""Half a unit in the last place of a float32 near 1."""
_PIECE = 512
"""Rows that are in float64 at once."""


def slack(dimensions: int) -> float:
    """Bound how far a float32 product of two rows of length 1 is from their cosine, in whatever order it adds."""
    return 1.01 * (dimensions + 8) * _HALF_UNIT


def unit(rows: NDArray[Any]) -> Rows:
    """Give rows length 1. What has no direction, or no value, becomes NaN."""
    wide = np.ascontiguousarray(rows, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return np.asarray(wide, dtype=np.float32)


def cosines(one: Rows, other: Rows) -> NDArray[np.float64]:
    """Give the cosines of m pairs of rows, each shape (m, d), in float64 and one by one."""
    found = np.empty(len(one))
    for start in range(0, len(one), _PIECE):
        piece = slice(start, start + _PIECE)
        a, b = one[piece].astype(np.float64), other[piece].astype(np.float64)
        lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        found[piece] = (a * b).sum(axis=1) / lengths
    return found


def squared_distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Give the squared Euclidean distances of m pairs of rows in float64; `other` may be one row for all."""
    found = np.empty(len(one))
    for start in range(0, len(one), _PIECE):
        piece = slice(start, start + _PIECE)
        gap = one[piece].astype(np.float64)
        gap -= other[piece] if other.ndim == 2 else other
        gap *= gap
        found[piece] = gap.sum(axis=1)
    return found


@dataclass(frozen=True)
class Vectors:
    """Embeddings of some records, as rows of length 1; a place is the number of a row among them."""

    embeddings: Embeddings
    records: Places

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.records)

    @property
    def dimensions(self) -> int:
        """Numbers a row."""
        return self.embeddings.shape[1]

    def take(self, places: Places) -> Rows:
        """Give some rows, shape (m, d). Raises InputError for one that has no direction."""
        rows = np.empty((len(places), self.dimensions), dtype=np.float32)
        for start in range(0, len(places), _PIECE):
            piece = slice(start, start + _PIECE)
            rows[piece] = unit(self.embeddings.take(self.records[places[piece]]))
        if np.isnan(rows[:, :1]).any():
            bad = self.records[places[np.flatnonzero(np.isnan(rows[:, 0]))[0]]]
            raise InputError(
                f"record {bad} has a score and no embedding (NaN or zeros): score the pool again"
            )
        return rows

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[Places, Rows]]:
        """Yield all rows with their places, `size` at a time."""
        for start in range(0, len(self), size):
            places = np.arange(start, min(start + size, len(self)), dtype=np.int64)
            yield places, self.take(places)

    def require_room(self, what: str, memory_gb: float | None) -> None:
        """Refuse to hold all rows in float32 where they take more than the limit. Raises InputError."""
        limit, needed = MEMORY_GB if memory_gb is None else memory_gb, 4 * len(self) * self.dimensions
        if needed > limit * 2**30:
            raise InputError(
                f"{what} holds the embeddings of {len(self)} records in memory: {needed} bytes "
                f"({needed / 2**30:.1f} GiB), and its limit is {limit:g} GiB: raise memory_gb, "
                f"or drop records by a rule before it"
            )

    def hold(self, what: str, memory_gb: float | None) -> Rows:
        """Give all rows, in memory. Raises InputError where that is more than the limit."""
        self.require_room(what, memory_gb)
        held = np.empty((len(self), self.dimensions), dtype=np.float32)
        for places, rows in self.blocks():
            held[places] = rows
        return held

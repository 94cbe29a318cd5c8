"""Walk records in an order, and keep each that is not near one kept before: score first, then diverse. Numpy only.

Only kept records stand in another's way: what was itself dropped does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.kept import Apart, Best, Grid, Kept
from scar.selection.diversity.vectors import Places, Rows, Vectors, cosines, slack

DECIMALS = 6
"""A cosine is compared with a threshold at so many decimals: what embeddings of 16 or 32 bits can tell."""


@dataclass(frozen=True)
class Near:
    """When two rows are near: a cosine above `tau`, or at it too where that is `inclusive`."""

    tau: float
    inclusive: bool = False

    def __call__(self, cosine: NDArray[np.float64]) -> Grid:
        """Decide for exact cosines."""
        rounded = np.round(cosine, DECIMALS)
        return np.asarray(rounded >= self.tau if self.inclusive else rounded > self.tau)

    def doubt(self, dimensions: int) -> float:
        """Give how far from `tau` a cosine from a matrix product must be to decide."""
        return slack(dimensions) + 10.0**-DECIMALS


@dataclass
class Walk:
    """What a walk kept, and who stood in the way of the others."""

    vectors: Vectors
    near: Near
    kept: Kept
    apart: Apart | None = None
    take: Callable[[int], bool] = lambda place: True
    """Pays for a place; False where it cannot be paid."""
    full: Callable[[], bool] = lambda: False
    """Tells whether the walk is over."""
    accepted: list[int] = field(default_factory=list)
    """Places, in the order in which they were kept."""
    crowded: dict[int, int] = field(default_factory=dict)
    """Of each place that was too near: the nearest of those that were kept before it."""

    def go(self, order: Places, free: int = 0, size: int = 1024) -> "Walk":
        """Walk the places of an order, `size` at a time; the first `free` are kept, however near they are."""
        for start in range(0, len(order), size):
            if self.full():
                break
            self._step(order[start : start + size], max(0, free - start))
        return self

    def _step(self, places: Places, free: int) -> None:
        rows = self.vectors.take(places)
        where = self.kept.locate(rows)
        floor = self.near.tau - self.near.doubt(rows.shape[1])
        cosine, other = self.kept.nearest(places, rows, where, floor)
        blocked = self.near(cosine)
        blocked[:free] = False
        taken, end = self._among(places, rows, where, blocked, free)
        late = np.flatnonzero(blocked[:end])
        if late.size:
            best = Best(places[late], rows[late], floor, self.apart)
            open_ = taken[None, :] < late[:, None]
            open_ &= self.kept.meets(where[late][:, None], where[taken][None])
            best.look(np.arange(len(late)), places[taken], rows[taken], open_)
            who = np.where(best.cosine > cosine[late], best.place, other[late])
            self.crowded.update(zip(places[late].tolist(), who.tolist(), strict=True))
        self.kept.add(places[taken], rows[taken], where[taken])
        self.accepted.extend(places[taken].tolist())

    def _among(
        self, places: Places, rows: Rows, where: Places, blocked: Grid, free: int
    ) -> tuple[Places, int]:
        """Take what the block's own rows leave, in order; marks what they block. Gives what was taken, and the end."""
        open_ = np.flatnonzero(~blocked)
        doubt = self.near.doubt(rows.shape[1])
        grid, maybe = self._rivals(places[open_], rows[open_], where[open_], self.near.tau - doubt)
        maybe[:, open_ < free] = False
        rivals: Grid = np.asarray(maybe.any(axis=1))
        taken = []
        for i, at in enumerate(open_.tolist()):
            if blocked[at] or not self.take(int(places[at])):
                continue
            taken.append(at)
            if rivals[i]:
                js = np.flatnonzero(maybe[i])
                sure = np.asarray(grid[i, js] > self.near.tau + doubt)
                blocked[open_[js[sure]]] = True
                unsure = open_[js[~sure]]
                blocked[unsure] |= self.near(cosines(rows[np.full(len(unsure), at)], rows[unsure]))
            if self.full():
                return np.array(taken, dtype=np.int64), at + 1
        return np.array(taken, dtype=np.int64), len(places)

    def _rivals(
        self, places: Places, rows: Rows, where: Places, floor: float
    ) -> tuple[NDArray[np.float32], Grid]:
        """Give approximate cosines of rows, and mark which later row each may block."""
        grid = rows @ rows.T
        maybe = np.triu(grid >= floor, 1)
        if self.apart is not None:
            maybe &= ~self.apart(places, places)
        i, j = np.nonzero(maybe)
        maybe[i, j] = self.kept.meets(where[j], where[i])
        return grid, maybe

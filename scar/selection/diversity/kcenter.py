"""Greedy k-center: time and again the row that is farthest from all centres, which covers the pool. Numpy only.

At most twice the least radius that as many centres can have (Gonzalez).
"""

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.vectors import Places, Rows, slack, squared_distances

_BLOCK = 4096
_FARTHEST = 1024
"""Rows among which the next centres are looked for before all rows are compared with these."""

Squared = NDArray[np.float64]


class Coverage:
    """How far each row is from its nearest centre. Euclidean, any rows, shape (n, d) in float32."""

    def __init__(self, rows: Rows) -> None:
        """No centres yet: every row is infinitely far."""
        self.rows = rows
        self.squared: Squared = np.full(len(rows), np.inf)
        """Squared distance of each row to its nearest centre, in float64 from coordinates, so that copies have 0."""
        self.centre: Places = np.full(len(rows), -1, dtype=np.int64)
        """Place of the nearest centre; the one that was added earlier wins a tie."""
        self._lengths = np.empty(len(rows))
        for start in range(0, len(rows), _BLOCK):
            piece = slice(start, start + _BLOCK)
            self._lengths[piece] = (rows[piece].astype(np.float64) ** 2).sum(axis=1)
        self._doubt = 4 * slack(rows.shape[1]) * float(self._lengths.max(initial=0.0))

    def add(self, places: Places) -> None:
        """Add centres."""
        for start in range(0, len(places), _FARTHEST):
            some = places[start : start + _FARTHEST]
            turned = np.ascontiguousarray(-2 * self.rows[some].T)
            for first in range(0, len(self.rows), _BLOCK):
                self._compare(np.arange(first, min(first + _BLOCK, len(self.rows))), some, turned)

    def _compare(self, block: Places, centres: Places, turned: Rows) -> None:
        # The matrix product says which distances may be the least; those alone are computed from coordinates.
        grid = self.rows[block[0] : block[-1] + 1] @ turned
        grid += self._lengths[centres].astype(np.float32)
        own = self._lengths[block]
        least = grid.min(axis=1) + own
        some = np.flatnonzero(least <= self.squared[block] + self._doubt)
        most = np.minimum(self.squared[block[some]], least[some] + self._doubt) + self._doubt - own[some]
        i, j = np.nonzero(grid[some] <= most.astype(np.float32)[:, None])
        places = block[some[i]]
        squared = squared_distances(self.rows[places], self.rows[centres[j]])
        order = np.lexsort((j, squared, places))
        order = order[np.diff(places[order], prepend=-1) != 0]
        order = order[squared[order] < self.squared[places[order]]]
        self.squared[places[order]], self.centre[places[order]] = squared[order], centres[j[order]]

    def radius(self, among: NDArray[np.bool_] | None = None) -> float:
        """Give the largest distance of a row, of all or of those marked, to its nearest centre."""
        squared = self.squared if among is None else self.squared[among]
        return float(np.sqrt(squared.max(initial=0.0)))


def far_from_mean(rows: Rows) -> Squared:
    """Give each row's squared distance from the mean of all."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _BLOCK):
        total += rows[start : start + _BLOCK].sum(axis=0, dtype=np.float64)
    return squared_distances(rows, total / max(1, len(rows)))


def farthest_first(coverage: Coverage, costs: Places, budget: int, *, radius: float = 0.0) -> list[int]:
    """Add the row that is farthest from its nearest centre, again and again; gives their places in that order.

    The earlier place wins a tie. A row that costs more than is left is passed over. It ends when no row can be paid any
    more, when all that can lie within `radius`, or when those left are copies of centres.
    """
    added: list[int] = []
    while True:
        values = np.where(costs <= budget, coverage.squared, -1.0)
        some, rest = _largest(values, _FARTHEST)
        found = _among(coverage.rows[some], values[some], costs[some], budget, radius**2, rest)
        if not found:
            return added
        places = some[np.array(found)]
        coverage.add(places)
        added.extend(places.tolist())
        budget -= int(costs[places].sum())


def _largest(values: Squared, count: int) -> tuple[Places, float]:
    """Give the places of the largest values in the order of places, and what no other value is above."""
    if count >= len(values):
        return np.arange(len(values)), -np.inf
    at = len(values) - count
    least = float(np.partition(values, at)[at])
    above = np.flatnonzero(values > least)
    ties = np.flatnonzero(values == least)[: count - len(above)]
    return np.sort(np.concatenate([above, ties])), least


def _among(rows: Rows, squared: Squared, costs: Places, budget: int, enough: float, rest: float) -> list[int]:
    """Find the next centres among the farthest rows: the farthest of all, then others that are farther than `rest`.

    No row outside is farther than that, so these are the centres that all rows together would give.
    """
    wide, values = rows.astype(np.float64), squared.copy()
    found: list[int] = []
    while len(values):
        at = int(values.argmax())
        if values[at] <= (max(enough, rest) if found else enough):
            break
        found.append(at)
        budget -= int(costs[at])
        np.minimum(values, squared_distances(wide, wide[at]), out=values)
        values[costs > budget] = -1
    return found

"""Facility location: every row is served by the chosen row it is most similar to. Exact; knows no rules, no files.

The value of a choice is the sum over all rows of max(0, similarity to the nearest chosen one). It is monotone and
submodular, so the greedy choice has at least 1 - 1/e of the best value there is, and a gain that was computed
earlier bounds the gain of now: lazily, few are computed again (CELF).
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.exact import Floats, Points, blocks

FEWEST, MOST = 16, 512
"""Rows whose gains are computed together: first the fewest, then twice as many each time it was not enough."""


class Facility:
    """What was chosen so far of n points: which row serves which, and bounds on what others would add."""

    def __init__(self, points: Points) -> None:
        """`points` has shape (n, d), on the grid."""
        self._points = points
        self.near: NDArray[np.float32] = np.zeros(len(points), dtype=np.float32)
        """Similarity of each row to the chosen row that serves it, 0 where none does."""
        self.server: NDArray[np.int64] = np.full(len(points), -1, dtype=np.int64)
        """The chosen row that serves each row, the earlier chosen in a tie; -1 where none has a similarity above 0."""
        self._bound: Floats = np.full(len(points), np.inf)
        self._fresh = np.zeros(len(points), dtype=bool)

    @property
    def value(self) -> float:
        """The sum of all similarities to the row that serves."""
        return float(self.near.sum(dtype=np.float64))

    def gains(self, rows: NDArray[np.int64]) -> Floats:
        """Compute what each of m rows would add; shape (m,)."""
        chosen, made = self._points[rows].T, np.zeros(len(rows))
        for at in blocks(self._points):
            more = self._points[at] @ chosen
            more -= self.near[at, None]
            made += np.maximum(more, 0, out=more).sum(axis=0, dtype=np.float64)
        return made

    def choose(self, row: int) -> None:
        """Let a row serve those that are nearest to it."""
        similarity = self._points @ self._points[row]
        nearer = similarity > self.near
        self.near[nearer], self.server[nearer] = similarity[nearer], row
        self.drop(row)
        self._fresh = self._bound <= 0  # nothing adds less than nothing: a bound of 0 stays true

    def drop(self, row: int) -> None:
        """Offer a row no more."""
        self._bound[row] = -np.inf

    def best(self) -> int:
        """Give the row that adds most, the earlier one in a tie; -1 where none is left."""
        size = FEWEST
        while len(self._bound):
            known = np.where(self._fresh, self._bound, -np.inf)
            at = int(np.argmax(known))
            stale = np.where(self._fresh, -np.inf, self._bound)
            stale[at:][
                stale[at:] <= known[at]
            ] = -np.inf  # a later row must be better, an earlier one as good
            stale[:at][stale[:at] < known[at]] = -np.inf
            open_ = np.flatnonzero(stale > -np.inf)
            if not open_.size:
                return at if known[at] > -np.inf else -1
            rows = open_[np.argsort(-stale[open_], kind="stable")[:size]]
            self._bound[rows], self._fresh[rows] = self.gains(rows), True
            size = min(2 * size, MOST)
        return -1


def locate(facility: Facility, fits: Callable[[int], bool]) -> Iterator[int]:
    """Choose rows greedily, the one that adds most first, and yield each when it is chosen.

    A row that does not fit when its turn comes is left out for good. Rows that add nothing come last, in their order.
    Time: n x n x d for the first gains, then n x d for each gain that is computed again.
    """
    while (row := facility.best()) >= 0:
        if fits(row):
            facility.choose(row)
            yield row
        else:
            facility.drop(row)

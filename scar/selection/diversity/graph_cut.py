"""Bins by GraphCut, as Dataset Quantization makes them (arXiv 2308.10524). Exact; knows no rules and no files.

The gain of row i beside the rows S that a bin has: lam x sum over the rows left at its start of sim(i, j), less twice
the sum over S of sim(i, j). A similarity is a dot product, so both sums are dot products with a sum of embeddings.
"""

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.exact import Floats, Points, dots, similarity_to, total

CANDIDATES = 1024
"""Rows of greatest gain whose gains are kept up to date pick by pick; the others' only when they might win."""
_SLACK = 1e-9
"""Times the rows: more than rounding can move a bound on gains. Bounds are not on the grid."""


def bin_sizes(rows: int, bins: int) -> list[int]:
    """Cut rows into bins as even as can be, the larger ones first: no remainder is lost."""
    return [rows // bins + (number < rows % bins) for number in range(bins)]


def bins_of(points: Points, bins: int, lam: float = 1.0) -> NDArray[np.int64]:
    """Give each of n rows its bin, from 0: each bin takes from what those before it left, greedily by gain.

    `points` has shape (n, d), on the grid. Ties go to the earlier row. The last bin is what is left: its order is of
    no use. Time: about n x n x d / 20 where gains differ, n x n x d at worst.
    """
    made, left = np.full(len(points), bins - 1, dtype=np.int64), np.arange(len(points))
    for number, size in enumerate(bin_sizes(len(points), bins)[:-1]):
        taken = pick(points[left], size, lam)
        made[left[taken]] = number
        left = np.delete(left, taken)
    return made


def gains(points: Points, picked: NDArray[np.int64], lam: float = 1.0) -> Floats:
    """Give the gain of every row beside those that were picked; shape (n,)."""
    return lam * dots(points, total(points)) - 2 * similarity_to(points, points[picked])


def pick(points: Points, count: int, lam: float = 1.0) -> NDArray[np.int64]:
    """Pick rows greedily by gain; gives their numbers in that order, shape (count,). The earlier row wins a tie."""
    bounds = _Bounds(points)
    now = gains(points, np.zeros(0, dtype=np.int64), lam)
    picked: list[int] = []
    while len(picked) < count:
        some = _burst(points, now, bounds, count - len(picked))
        picked += some
        now -= 2 * similarity_to(points, points[some])
        now[some] = -np.inf
    return np.array(picked, dtype=np.int64)


class _Bounds:
    """How much a row's gain may have fallen at least, without its similarities to all that was picked.

    A row is split along the mean direction, where its part is known, and across it, where only its length is.
    """

    def __init__(self, points: Points) -> None:
        mean = total(points)
        self.mean: Floats = mean / (np.linalg.norm(mean) or 1.0)
        self.along = dots(points, self.mean)
        length = np.einsum("nd,nd->n", points, points).astype(np.float64)
        self.across = np.sqrt(np.maximum(length - self.along**2, 0))

    def highest(self, stale: Floats, picked: Floats) -> float:
        """Bound the gains of rows now, given their gains before the rows whose embeddings sum to `picked`."""
        along = float(picked @ self.mean)
        across = np.sqrt(max(float(picked @ picked) - along**2, 0.0))
        return float(np.max(stale + 2 * (across * self.across - along * self.along)) + _SLACK * len(stale))


def _burst(points: Points, now: Floats, bounds: _Bounds, most: int) -> list[int]:
    """Pick among the candidates for as long as no other row can be better."""
    best = int(np.argmax(now))
    top = np.arange(len(now))
    if len(now) > CANDIDATES:
        top = np.union1d(np.argpartition(now, -CANDIDATES)[-CANDIDATES:], best)
    others = now.copy()
    others[top] = -np.inf
    near, own, picked = points[top], now[top], np.zeros(points.shape[1])
    taken: list[int] = []
    while len(taken) < most:
        at = int(np.argmax(own))
        if own[at] == -np.inf or (taken and own[at] <= bounds.highest(others, picked)):
            break
        taken.append(int(top[at]))
        picked += near[at]
        own -= 2 * (near @ near[at]).astype(np.float64)
        own[at] = -np.inf
    return taken

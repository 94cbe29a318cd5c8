"""k-means over rows of length 1: learned on a sample, then every row is put to its centre once. Numpy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.assign import assign, means, own_distances
from scar.selection.diversity.grid import on_grid
from scar.selection.diversity.vectors import Places, Rows, Vectors

PER_CENTRE = 256
"""Rows a centre that k-means learns from: more change the centres little (faiss takes as many)."""
_EARLY = 4
"""The first half of the iterations learns on one in so many of these: centres are far from where they end there."""
_START = 16
"""Rows a centre among which the first centres are drawn."""


@dataclass(frozen=True)
class Means:
    """Centres, and the nearest of them to each row."""

    centres: Rows
    """Shape (clusters, d)."""
    labels: Places
    """Shape (n,)."""
    distances: NDArray[np.float64]
    """Of each row to its centre, squared."""
    iterations: int
    """How often the centres moved."""

    @property
    def inertia(self) -> float:
        """Give the sum of the squared distances."""
        return float(self.distances.sum())

    def central(self) -> Places:
        """Give the place nearest to each centre that has rows, in the order of centres."""
        order = np.lexsort((np.arange(len(self.labels)), self.distances, self.labels))
        return np.asarray(order[np.diff(self.labels[order], prepend=-1) != 0], dtype=np.int64)


def k_means(
    vectors: Vectors,
    clusters: int,
    *,
    seed: int = 0,
    iterations: int = 20,
    start: Rows | None = None,
    per_centre: int = PER_CENTRE,
) -> Means:
    """Find centres as `learn` does, and put every row to the nearest, a block in memory at a time."""
    centres, moved = learn(
        vectors, clusters, seed=seed, iterations=iterations, start=start, per_centre=per_centre
    )
    labels, distances = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors))
    for places, rows in vectors.blocks():
        labels[places] = assign(rows, centres)
        distances[places] = own_distances(rows, centres, labels[places])
    return Means(centres, labels, distances, moved)


def learn(
    vectors: Vectors,
    clusters: int,
    *,
    seed: int = 0,
    iterations: int = 20,
    start: Rows | None = None,
    per_centre: int = PER_CENTRE,
) -> tuple[Rows, int]:
    """Find `clusters` centres, fewer where there are fewer distinct rows; gives them, and how often they moved.

    Lloyd's algorithm from `start`, or from k-means++ on 16 rows a centre; it ends when no row changes its centre.
    Of n rows it learns on at most `per_centre` a centre, drawn by `seed`, and half the time on a quarter of these:
    memory holds them in float32. A centre that loses all rows gets the row farthest from its own. The result does not
    depend on threads.
    """
    draw = np.random.default_rng(seed)
    count = min(len(vectors), per_centre * clusters)
    # The first quarter is a sample of its own, in the order of the file as the rest is.
    chosen, few = draw.permutation(len(vectors))[:count], count if count == len(vectors) else count // _EARLY
    sample = vectors.take(np.concatenate([np.sort(chosen[:few]), np.sort(chosen[few:])]))
    if start is None:
        some = np.sort(draw.permutation(count)[: _START * clusters])
        start = sample[some[plus_plus(sample[some], clusters, draw)]]
    moved = 0
    if few < count:
        start, moved = lloyd(sample[:few], start, iterations // 2)
    centres, more = lloyd(sample, start, iterations - moved)
    return centres, moved + more


def lloyd(rows: Rows, centres: Rows, iterations: int) -> tuple[Rows, int]:
    """Move centres to the means of their rows until no row changes its centre; gives them, and how often they moved."""
    before = None
    for number in range(iterations):
        labels = assign(rows, centres)
        if before is not None and (labels == before).all():
            return centres, number
        before = labels
        centres = means(rows, _refilled(rows, centres, labels), centres)
    return centres, iterations


def _refilled(rows: Rows, centres: Rows, labels: Places) -> Places:
    """Give each centre without rows the row that is farthest from its own, unless that one is alone there."""
    sizes = np.bincount(labels, minlength=len(centres))
    if sizes.all():
        return labels
    labels, distances = labels.copy(), own_distances(rows, centres, labels)
    farthest = iter(np.argsort(-distances, kind="stable"))
    for empty in np.flatnonzero(sizes == 0):
        row = next((row for row in farthest if distances[row] > 0 and sizes[labels[row]] > 1), None)
        if row is not None:
            sizes[labels[row]] -= 1
            labels[row] = empty
    return labels


def plus_plus(rows: Rows, clusters: int, draw: np.random.Generator) -> Places:
    """Draw first centres, each with a chance in proportion to its squared distance from those before: k-means++.

    Fewer than `clusters` where no more rows differ. Distances are taken on a grid where they are exact.
    """
    grid = on_grid(rows)
    lengths = (grid.astype(np.float64) ** 2).sum(axis=1)
    chosen = [int(draw.integers(len(rows)))]
    left = np.full(len(rows), np.inf)
    while len(chosen) < clusters:
        last = chosen[-1]
        np.minimum(left, lengths + lengths[last] - 2.0 * (grid @ grid[last]).astype(np.float64), out=left)
        sums = np.cumsum(left)
        if sums[-1] == 0:
            break
        chosen.append(int(np.searchsorted(sums, draw.random() * sums[-1], side="right")))
    return np.array(chosen, dtype=np.int64)

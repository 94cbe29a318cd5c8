"""One-pass clustering around running means: a row joins the nearest, or opens a cluster. Numpy only."""

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.selection.diversity.vectors import Places, Rows, Vectors, slack
from scar.selection.diversity.walk import Near

_BLOCK = 256


class Centroids:
    """Running means of clusters, at length 1."""

    def __init__(self, dimensions: int, most: int) -> None:
        """At most so many clusters."""
        self._sums = np.empty((64, dimensions))
        self._units = np.empty((64, dimensions), dtype=np.float32)
        self._most = most
        self.size = 0

    def units(self) -> Rows:
        """Give the means."""
        return self._units[: self.size]

    def exact(self, row: Rows, among: Places) -> NDArray[np.float64]:
        """Give the cosines of a row with some of the means in float64."""
        sums, wide = self._sums[among], row.astype(np.float64)
        lengths = np.sqrt((sums * sums).sum(axis=1) * (wide * wide).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            # A mean without a direction, of rows that cancel out, is near nothing.
            cosine = (sums * wide).sum(axis=1) / lengths
        return np.where(np.isnan(cosine), -1.0, cosine)

    def open(self, row: Rows) -> int:
        """Open a cluster with its first row. Raises InputError above the cap."""
        require_few(self.size + 1, self._most)
        if self.size == len(self._sums):
            self._sums = np.concatenate([self._sums, np.empty_like(self._sums)])
            self._units = np.concatenate([self._units, np.empty_like(self._units)])
        self._sums[self.size], self._units[self.size] = row, row
        self.size += 1
        return self.size - 1

    def join(self, cluster: int, row: Rows) -> None:
        """Move a mean by one more row."""
        self._sums[cluster] += row
        length = np.sqrt((self._sums[cluster] ** 2).sum())
        self._units[cluster] = self._sums[cluster] / length if length > 0 else 0


def require_few(clusters: int, most: int) -> None:
    """Raise InputError for more clusters than allowed."""
    if clusters > most:
        raise InputError(f"OnePass found more than {most} clusters: lower tau, or raise most_clusters")


def one_pass(vectors: Vectors, near: Near, most: int, size: int = _BLOCK) -> Places:
    """Give each row's cluster, the rows taken in their order; shape (n,). Raises InputError for too many clusters.

    A row joins the cluster of the most similar running mean if that is near, the older one where two are as similar.
    """
    labels, centroids = np.empty(len(vectors), dtype=np.int64), Centroids(vectors.dimensions, most)
    for places, rows in vectors.blocks(size):
        first = centroids.size
        likeness = rows @ centroids.units().T
        changed = np.zeros(0, dtype=np.int64)
        for at, row in enumerate(rows):
            # Means that moved since the block began, or are new, are compared again.
            likeness[at, changed[changed < first]] = -np.inf
            cluster = _nearest(centroids, row, likeness[at], changed, near)
            if cluster is None:
                cluster = centroids.open(row)
            else:
                centroids.join(cluster, row)
            labels[places[at]] = cluster
            changed = np.union1d(changed, [cluster])
    return labels


def _nearest(
    centroids: Centroids, row: Rows, likeness: NDArray[np.float32], changed: Places, near: Near
) -> int | None:
    band = np.float32(2 * slack(len(row)))
    again = centroids.units()[changed] @ row
    best = max(likeness.max(initial=-np.inf), again.max(initial=-np.inf))
    if best < near.tau - near.doubt(len(row)):
        return None
    close = np.union1d(np.flatnonzero(likeness >= best - band), changed[again >= best - band])
    if not close.size:
        return None
    exact = centroids.exact(row, close)
    at = int(exact.argmax())
    return int(close[at]) if near(exact[at : at + 1])[0] else None

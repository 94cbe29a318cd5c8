"""KCenter: the records that cover the pool. Numpy only."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.kcenter import Coverage, far_from_mean, farthest_first
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.outliers import outliers
from scar.selection.diversity.vectors import Places, Vectors
from scar.selection.fuse import By
from scar.selection.rules.budget import Budget, Purse
from scar.selection.rules.rule import (
    NOBODY,
    Chained,
    Needs,
    Outcome,
    Selection,
    is_number,
    is_seed,
    is_whole,
    require,
    selection,
)
from scar.selection.scored import Scored

_STARTS = ("mean", "random", "centroids")


@dataclass(frozen=True)
class KCenter(Chained):
    """Keep, again and again, the record that is farthest from all that were kept, by Euclidean distance at length 1.

    Until `k` records, so many `tokens`, or until every record lies within `radius` of a kept one: one of the three.
    Scores play no part: drop what is bad before. It begins with the rows that must stay, else with the record farthest
    from the mean, with one at `random`, or with those nearest the `centroids` of k-means with so many `clusters`.
    Copies of kept records are never kept, so it may end early. The share of records that are `outliers`, those farthest
    from a random sample of all, is never kept unless it must stay, and not counted in the radius: garbage is far from
    everything, and would come first.
    """

    k: int | None = None
    tokens: int | None = None
    radius: float | None = None
    outliers: float = 0.0
    start: str = "mean"
    clusters: int | None = None
    seed: int = 0
    memory_gb: float | None = None
    """Embeddings are held in float32; 4 GiB where this is not given."""
    by: By | None = None
    """Orders what was kept; chooses nothing."""

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.radius is None:
            Budget.of("KCenter", self.k, self.tokens)
        else:
            require(self.k is None and self.tokens is None, "KCenter needs k, tokens or radius: one of them")
            require(
                is_number(self.radius) and 0 <= self.radius <= 2,
                f"KCenter needs a radius from 0 to 2, got {self.radius!r}",
            )
        require(
            is_number(self.outliers) and 0 <= self.outliers < 1,
            f"KCenter needs a share of outliers of at least 0 and below 1, got {self.outliers!r}",
        )
        require(self.start in _STARTS, f"KCenter starts from one of {', '.join(_STARTS)}, not {self.start!r}")
        require(
            (self.clusters is None) == (self.start != "centroids")
            and (self.clusters is None or (is_whole(self.clusters) and self.clusters >= 1)),
            f"KCenter needs a whole number of clusters with start='centroids', and only then; got {self.clusters!r}",
        )
        require(is_seed(self.seed), f"KCenter needs a seed from 0 to 2**32 - 1, got {self.seed!r}")
        require_memory("KCenter", self.memory_gb)

    def needs(self) -> Needs:
        """Read embeddings."""
        return Needs(embeddings=True)

    def select(self, rows: Scored) -> Selection:
        """Cover the records."""
        rows.finite(self.by)
        records = np.flatnonzero(rows.eligible)
        if not records.size:
            return selection(self, rows, rows.eligible, self.by)
        purse = self._purse(rows)
        vectors = Vectors(rows.embeddings(), records)
        coverage = Coverage(vectors.hold("KCenter", self.memory_gb))
        odd = outliers(coverage.rows, math.floor(round(self.outliers * len(records), 9)), self.seed)
        costs = np.where(odd, np.iinfo(np.int64).max, purse.costs[records])
        self._begin(rows, vectors, coverage, purse, costs)
        for place in farthest_first(coverage, costs, purse.left, radius=self.radius or 0.0):
            purse.take(int(records[place]))
        keep, crowded_by = purse.keep(), np.full(len(rows), NOBODY, dtype=np.int64)
        dropped = ~keep[records] & (coverage.centre >= 0)
        crowded_by[records[dropped]] = records[coverage.centre[dropped]]
        return selection(self, rows, Outcome(keep, crowded_by, _facts(coverage, purse, odd)), self.by)

    def _purse(self, rows: Scored) -> Purse:
        every = Budget(rows=max(1, int(rows.eligible.sum()))) if self.radius is not None else None
        return (every or Budget.of("KCenter", self.k, self.tokens)).purse(rows)

    def _begin(self, rows: Scored, vectors: Vectors, coverage: Coverage, purse: Purse, costs: Places) -> None:
        """Take the first centres."""
        first = np.flatnonzero(rows.must[vectors.records])
        if self.start == "centroids" and self.clusters:
            central = k_means(vectors, min(self.clusters, len(vectors)), seed=self.seed).central()
            first = np.concatenate(
                [first, central[(costs[central] <= purse.left) & ~np.isin(central, first)]]
            )
        elif not first.size:
            first = self._one(coverage, costs <= purse.left)
        coverage.add(np.array([at for at in first if purse.take(int(vectors.records[at]))], dtype=np.int64))

    def _one(self, coverage: Coverage, open_: NDArray[np.bool_]) -> Places:
        """Choose a first centre among those that may be kept."""
        if not open_.any():
            return np.zeros(0, dtype=np.int64)
        if self.start == "random":
            order = np.random.default_rng(self.seed).permutation(len(open_))
            return order[open_[order]][:1]
        return np.array([np.where(open_, far_from_mean(coverage.rows), -1.0).argmax()])


def _facts(coverage: Coverage, purse: Purse, odd: NDArray[np.bool_]) -> dict[str, object]:
    """Tell the radius, and how near the records are to what was kept."""
    if not purse.taken:
        return {"radius": None}
    distance = np.sqrt(coverage.squared[~odd])
    return {
        "radius": round(coverage.radius(~odd), 6),
        "outliers": int(odd.sum()),
        "mean_distance": round(float(distance.mean()), 6),
        "median_distance": round(float(np.median(distance)), 6),
    }


def require_memory(rule: str, memory_gb: float | None) -> None:
    """Check a limit of memory."""
    require(
        memory_gb is None or (is_number(memory_gb) and memory_gb > 0),
        f"{rule} needs a memory_gb above 0, got {memory_gb!r}",
    )

"""Clusters: k-means over embeddings, and so many records of each cluster. Numpy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.kmeans import Means, k_means
from scar.selection.diversity.vectors import Places, Vectors
from scar.selection.fuse import By
from scar.selection.rules.budget import Budget
from scar.selection.rules.rule import (
    NOBODY,
    Chained,
    Needs,
    Outcome,
    Selection,
    best_first,
    is_seed,
    is_whole,
    require,
    selection,
)
from scar.selection.rules.shares import within_shares
from scar.selection.scored import Scored

_QUOTAS = ("proportional", "equal")
_INSIDE = ("best", "centroid")


@dataclass(frozen=True)
class Clusters(Chained):
    """Share a budget among k-means clusters of the embeddings, in proportion to their records or equally.

    Inside a cluster the best scores are kept, or what lies nearest its centroid. Shares are rounded by largest
    remainder; what a cluster cannot fill goes to the others, and rows that must stay count in the share of theirs. With
    `inside="centroid"`, equal quotas and as many clusters as records to keep, these are the records nearest the
    centroids (Coreset). A record that was dropped names the first that was kept of its cluster.
    """

    k: int | None = None
    tokens: int | None = None
    clusters: int = 100
    quota: str = "proportional"
    inside: str = "best"
    seed: int = 0
    iterations: int = 20
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        Budget.of("Clusters", self.k, self.tokens)
        for name, value in (("clusters", self.clusters), ("iterations", self.iterations)):
            require(
                is_whole(value) and value >= 1,
                f"Clusters needs a whole number of {name} of at least 1, got {value!r}",
            )
        require(self.quota in _QUOTAS, f"Clusters has the quotas {', '.join(_QUOTAS)}, not {self.quota!r}")
        require(
            self.inside in _INSIDE,
            f"Clusters takes one of {', '.join(_INSIDE)} inside a cluster, not {self.inside!r}",
        )
        require(is_seed(self.seed), f"Clusters needs a seed from 0 to 2**32 - 1, got {self.seed!r}")

    def needs(self) -> Needs:
        """Read embeddings."""
        return Needs(embeddings=True)

    def select(self, rows: Scored) -> Selection:
        """Find the clusters, and give each its share."""
        budget, records = Budget.of("Clusters", self.k, self.tokens), np.flatnonzero(rows.eligible)
        order = best_first(rows.finite(self.by), rows.eligible)
        if not records.size:
            return selection(self, rows, rows.eligible, self.by)
        vectors = Vectors(rows.embeddings(), records)
        found = k_means(vectors, min(self.clusters, len(records)), seed=self.seed, iterations=self.iterations)
        if self.inside == "centroid":
            order = records[np.argsort(found.distances, kind="stable")]
        groups = np.zeros(len(rows), dtype=np.int64)
        groups[records] = found.labels
        weights = self._weights(found, rows.tokens()[records] if budget.tokens else np.ones(len(records)))
        keep = within_shares(rows, budget, groups, weights, order)
        outcome = Outcome(keep, _firsts(rows.eligible, keep, groups, order), _facts(found, groups[keep]))
        return selection(self, rows, outcome, self.by)

    def _weights(self, found: Means, costs: NDArray[np.generic]) -> NDArray[np.float64]:
        sizes = np.bincount(found.labels, weights=costs, minlength=len(found.centres)).astype(np.float64)
        return sizes if self.quota == "proportional" else np.where(sizes > 0, 1.0, 0.0)


def _firsts(
    eligible: NDArray[np.bool_], keep: NDArray[np.bool_], groups: Places, order: Places
) -> NDArray[np.int64]:
    """Name for each dropped record the first in order that was kept of its group, or NOBODY."""
    first = np.full(int(groups.max()) + 1, NOBODY, dtype=np.int64)
    kept = order[keep[order]][::-1]
    first[groups[kept]] = kept
    return np.where(eligible & ~keep, first[groups], NOBODY)


def _facts(found: Means, kept: Places) -> dict[str, object]:
    sizes = np.bincount(found.labels)
    return {
        "clusters": int((sizes > 0).sum()),
        "clusters_kept_from": len(np.unique(kept)),
        "largest_cluster": int(sizes.max()),
        "inertia": round(found.inertia, 4),
        "iterations": found.iterations,
    }

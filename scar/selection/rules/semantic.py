"""Semantic duplicates, of which the best copy stays, and one-pass clusters, of which one record does. Numpy only."""

import math
from dataclasses import dataclass
from itertools import count

import numpy as np

from scar.selection.diversity.kept import Apart, Best, Cells, Flat, Kept
from scar.selection.diversity.kmeans import learn
from scar.selection.diversity.numbers import number_key
from scar.selection.diversity.onepass import one_pass, require_few
from scar.selection.diversity.vectors import Places, Vectors
from scar.selection.diversity.walk import Near, Walk
from scar.selection.fuse import By
from scar.selection.rules.diverse import crowded, must_first
from scar.selection.rules.kcenter import require_memory
from scar.selection.rules.rule import (
    NOBODY,
    Chained,
    Needs,
    Outcome,
    Selection,
    best_first,
    is_number,
    is_seed,
    is_whole,
    require,
    selection,
)
from scar.selection.scored import Scored

EXACT = 100_000
"""Up to so many records all pairs are compared; above, those of neighbouring k-means cells."""
_CHECKED = 256
"""Kept records that are compared with all others, to tell how many duplicates the cells missed."""
_BLOCK = 4096


@dataclass(frozen=True)
class SemanticDuplicates(Chained):
    """Drop a record whose embedding has a cosine of at least `cosine` with that of a better one that was kept.

    Best first, so the best copy stays, and a dropped record drops nobody. With `numbers`, records whose texts hold
    different numbers are not copies: one template with other figures stays. Up to 100,000 records all pairs are
    compared. Above, or where `clusters` is given, a record is compared with what was kept in the `probes` k-means cells
    nearest to it: `facts` tell how many of 256 kept records turned out to have a copy in other cells.
    """

    cosine: float = 0.95
    numbers: bool = True
    clusters: int | None = None
    probes: int = 4
    seed: int = 0
    memory_gb: float | None = None
    """Embeddings of what is kept are held in float32; 4 GiB for all records where this is not given."""
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        require(
            is_number(self.cosine) and -1 <= self.cosine <= 1,
            f"SemanticDuplicates needs a cosine from -1 to 1, got {self.cosine!r}",
        )
        require(
            isinstance(self.numbers, bool),
            f"SemanticDuplicates needs numbers: true or false, got {self.numbers!r}",
        )
        for name, value in (("clusters", self.clusters), ("probes", self.probes)):
            require(
                value is None or (is_whole(value) and value >= 1),
                f"SemanticDuplicates needs a whole number of {name} of at least 1, got {value!r}",
            )
        require(is_seed(self.seed), f"SemanticDuplicates needs a seed from 0 to 2**32 - 1, got {self.seed!r}")
        require_memory("SemanticDuplicates", self.memory_gb)

    def needs(self) -> Needs:
        """Read embeddings, and texts for their numbers."""
        return Needs(embeddings=True, texts=self.numbers)

    def select(self, rows: Scored) -> Selection:
        """Walk the records best first, and drop the copies."""
        order = must_first(rows, best_first(rows.finite(self.by), rows.eligible))
        vectors = Vectors(rows.embeddings(), order)
        vectors.require_room("SemanticDuplicates", self.memory_gb)
        apart = self._apart(rows, order) if self.numbers else None
        cells = self._cells(len(order))
        kept: Kept = Flat(vectors.dimensions, apart)
        if cells:
            kept = Cells(learn(vectors, cells, seed=self.seed, iterations=10)[0], self.probes, apart)
        walk = Walk(vectors, Near(self.cosine, inclusive=True), kept, apart)
        walk.go(np.arange(len(order)), int((rows.must & rows.eligible).sum()), _BLOCK if cells else 1024)
        keep = np.zeros(len(rows), dtype=bool)
        keep[order[np.array(walk.accepted, dtype=np.int64)]] = True
        facts: dict[str, object] = {"dropped": len(walk.crowded), "cells": cells}
        if cells:
            facts.update(missed(walk, self.seed))
        return selection(self, rows, Outcome(keep, crowded(len(rows), order, walk), facts), self.by)

    def _cells(self, total: int) -> int:
        """Give the number of cells, 0 for all pairs."""
        if self.clusters is not None:
            return min(self.clusters, total)
        return 0 if total <= EXACT else math.isqrt(total)

    def _apart(self, rows: Scored, order: Places) -> Apart:
        keys = np.zeros(len(rows), dtype=np.int64)
        for number, record in rows.records():
            keys[number] = number_key(record)
        keys = keys[order]
        return lambda some, others: keys[some][:, None] != keys[others][None, :]


def missed(walk: Walk, seed: int) -> dict[str, int]:
    """Compare some kept records, drawn at random, with all that were kept before: count those with a copy there."""
    accepted = np.array(walk.accepted, dtype=np.int64)
    some = np.sort(np.random.default_rng(seed).permutation(accepted)[:_CHECKED])
    rows = walk.vectors.take(some)
    best = Best(some, rows, walk.near.tau - walk.near.doubt(rows.shape[1]), walk.apart)
    for start in range(0, len(accepted), _BLOCK):
        others = accepted[start : start + _BLOCK]
        before = others[None, :] < some[:, None]
        best.look(np.arange(len(some)), others, walk.vectors.take(others), before)
    return {"checked": len(some), "missed": int(walk.near(best.cosine).sum())}


@dataclass(frozen=True)
class OnePass(Chained):
    """Cluster the records in one pass in the pool's order, and keep one record of each cluster.

    A record joins the most similar cluster if its cosine with the cluster's first member, or with the running mean of
    all (`centroid`), is at least `tau`; else it opens one. Kept is the best-scored member, or the first. So the result
    depends on the pool's order, means drift along chains of topics, and best members of two clusters may be similar:
    `Diverse` and `SemanticDuplicates` do none of this. A tau above 1 gives a cluster to each record.
    """

    tau: float = 0.85
    keep: str = "best"
    centroid: bool = False
    most_clusters: int = 100_000
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        require(is_number(self.tau), f"OnePass needs a finite number tau, got {self.tau!r}")
        require(self.keep in ("best", "first"), f"OnePass keeps best or first, not {self.keep!r}")
        require(
            isinstance(self.centroid, bool), f"OnePass needs centroid: true or false, got {self.centroid!r}"
        )
        require(
            is_whole(self.most_clusters) and self.most_clusters >= 1,
            f"OnePass needs a whole most_clusters of at least 1, got {self.most_clusters!r}",
        )

    def needs(self) -> Needs:
        """Read embeddings."""
        return Needs(embeddings=True)

    def select(self, rows: Scored) -> Selection:
        """Cluster, and keep one record of each cluster."""
        scores, records = rows.finite(self.by), np.flatnonzero(rows.eligible)
        vectors, near = Vectors(rows.embeddings(), records), Near(self.tau, inclusive=True)
        labels = one_pass(vectors, near, self.most_clusters) if self.centroid else self._led(vectors, near)
        ranks = scores[records] if self.keep == "best" else np.zeros(len(records))
        order = np.lexsort((-ranks, ~rows.must[records], labels))
        first = order[np.diff(labels[order], prepend=-1) != 0]
        keep, crowded_by = (
            np.zeros(len(rows), dtype=bool),
            np.full(len(rows), NOBODY, dtype=np.int64),
        )
        keep[records[first]] = True
        keep |= rows.must & rows.eligible
        crowded_by[records] = records[first][np.searchsorted(labels[first], labels)]
        crowded_by[keep] = NOBODY
        return selection(self, rows, Outcome(keep, crowded_by, {"clusters": len(first)}), self.by)

    def _led(self, vectors: Vectors, near: Near) -> Places:
        """Give each record the place of its cluster's first member."""
        opened = count(1)

        def take(place: int) -> bool:
            require_few(next(opened), self.most_clusters)
            return True

        walk = Walk(vectors, near, Flat(vectors.dimensions), take=take).go(np.arange(len(vectors)))
        labels = np.arange(len(vectors))
        joined = np.fromiter(walk.crowded, dtype=np.int64, count=len(walk.crowded))
        labels[joined] = np.fromiter(walk.crowded.values(), dtype=np.int64, count=len(joined))
        return labels

"""The audit of a selection: what it prefers besides the score. Numbers here; texts are the sample's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.pools import Row, RowReader
from scar.ranks import mean_ranks, spearman
from scar.runs import Embeddings
from scar.selection.audit.sample import MOST, Sample
from scar.selection.audit.side import Side
from scar.selection.diversity.vectors import Vectors, squared_distances
from scar.selection.rules import Selection
from scar.selection.scored import Scored

SEED = 0
EXPLAINED = 0.9
"""Length that tells kept from dropped this well, or the other way round, explains a selection."""
BLOCK = 1024


@dataclass(frozen=True)
class Audit:
    """What a selection looks like beside as many records at random."""

    length_correlation: float | None
    """Spearman's correlation of score and tokens over all that have a score; None where one of them is constant."""
    length_auc: float | None
    """How well tokens alone tell kept from dropped: .5 not at all, 1 the longest are kept, 0 the shortest."""
    mean_score: float
    mean_score_random: float
    mean_tokens: float | None
    mean_tokens_random: float | None
    radius: float | None
    """Largest Euclidean distance of a record to the nearest kept one (k-center); None without embeddings."""
    radius_random: float | None
    kept: Side
    random: Side
    """Of as many records at random, seed 0."""
    pool: Side
    """Of a larger random sample, for shares."""
    sampled: int
    """Most records of a side whose texts and embeddings were looked at."""

    @property
    def warnings(self) -> list[str]:
        """Say what a reader must not miss."""
        if self.length_auc is None or abs(self.length_auc - 0.5) < EXPLAINED - 0.5:
            return []
        which = "longest" if self.length_auc > 0.5 else "shortest"
        return [
            f"length alone explains this selection: it keeps the {which} records (AUC {self.length_auc:.2f}); compare "
            "it with the rule Longest, or keep a LengthBand first"
        ]

    def shares(self) -> Mapping[str, list[tuple[str, float, float]]]:
        """List for each column its values with their share in the pool and among the kept, the pool's largest first."""
        columns = dict.fromkeys([*self.pool.groups, *self.kept.groups])
        found = {}
        for column in columns:
            before, after = self.pool.groups.get(column, {}), self.kept.groups.get(column, {})
            found[column] = [
                (value, before.get(value, 0.0), after.get(value, 0.0))
                for value in dict.fromkeys([*before, *after])
            ]
        return found


def sample_of(scored: Scored, selection: Selection, reader: RowReader) -> Sample:
    """Choose the records whose texts are looked at."""
    rows = np.asarray(scored.load("row"), dtype=np.int64)
    rng = np.random.default_rng(SEED)
    kept = selection.rows
    if len(kept) > MOST:
        kept = np.sort(rng.choice(kept, MOST, replace=False))
    return Sample(kept, _random(scored)[:MOST], rows, reader)


def audit_of(scored: Scored, selection: Selection, sample: Sample, rest: Iterator[Row]) -> Audit:
    """Finish an audit: `rest` are the rows, watched by the sample, that nobody has read yet."""
    kept = np.zeros(len(scored), dtype=bool)
    kept[selection.rows] = True
    twin = _random(scored)[: len(selection.rows)]
    scores, tokens = scored.column(), _tokens(scored)
    radius, radius_random = _radii(scored, selection.rows, twin)
    sides = sample.finish(rest)
    return Audit(
        _number(spearman(scores[scored.eligible], tokens[scored.eligible])) if tokens is not None else None,
        None if tokens is None else _auc(tokens[scored.eligible], kept[scored.eligible]),
        _mean(scores[selection.rows]) or 0.0,
        _mean(scores[twin]) or 0.0,
        None if tokens is None else _mean(tokens[selection.rows]),
        None if tokens is None else _mean(tokens[twin]),
        radius,
        radius_random,
        *sides,
        MOST,
    )


def _random(scored: Scored) -> NDArray[np.int64]:
    """Give the records in the random order of the rule Random."""
    order = np.random.default_rng(SEED).permutation(len(scored))
    return order[scored.eligible[order]]


def _tokens(scored: Scored) -> NDArray[np.int64] | None:
    try:
        return scored.tokens()
    except InputError:
        return None  # scores of a training, which counts none


def _auc(values: NDArray[np.int64], kept: NDArray[np.bool_]) -> float | None:
    """Give the share of (kept, dropped) pairs in which the kept one is larger, ties half (Mann and Whitney)."""
    k, dropped = int(kept.sum()), int((~kept).sum())
    if not k or not dropped:
        return None
    return float((mean_ranks(values)[kept].sum() - k * (k + 1) / 2) / (k * dropped))


def _radii(
    scored: Scored, kept: NDArray[np.int64], twin: NDArray[np.int64]
) -> tuple[float | None, float | None]:
    if not scored.embedded or not len(kept):
        return None, None
    embeddings = scored.embeddings()
    pool = np.sort(_random(scored)[:MOST])
    rng = np.random.default_rng(SEED)
    few = [each if len(each) <= MOST else rng.choice(each, MOST, replace=False) for each in (kept, twin)]
    return radius(embeddings, pool, few[0]), radius(embeddings, pool, few[1])


def radius(embeddings: Embeddings, pool: NDArray[np.int64], centres: NDArray[np.int64]) -> float:
    """Give the largest distance of a record to its nearest centre; embeddings have length 1."""
    # float16 rows have length 1 but for a thousandth, and its square root would be the radius of copies.
    to, most = Vectors(embeddings, centres).take(np.arange(len(centres))), 0.0
    for _, rows in Vectors(embeddings, pool).blocks(BLOCK):
        most = max(most, float(squared_distances(rows, to[(rows @ to.T).argmax(axis=1)]).max()))
    return float(np.sqrt(most))


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean(dtype=np.float64)) if len(values) else None


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None

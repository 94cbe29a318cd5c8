"""How well scores order tiers: accuracy per pair with intervals, beside longest, shortest and random."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.evaluation.figures import Floats, accuracy, auc, contenders, interval, length_correlation, matched
from scar.records import Tiers


@dataclass(frozen=True)
class Comparison:
    """Every pair of responses to one instruction whose tiers differ."""

    row: NDArray[np.int64]
    pair: NDArray[np.int64]
    """Which of the ordered tier pairs."""
    better: NDArray[np.int64]
    """Number of the better response, counting all responses of all rows."""
    worse: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Tiers], tiers: Sequence[str]) -> "Comparison":
        """List the pairs; tiers are named best first."""
        order = list(combinations(tiers, 2))
        found: list[tuple[int, int, int, int]] = []
        first = 0
        for number, row in enumerate(rows):
            place = {tier: first + n for n, tier in enumerate(row.responses)}
            first += len(place)
            found += [
                (number, n, place[a], place[b]) for n, (a, b) in enumerate(order) if a in place and b in place
            ]
        columns = np.asarray(found, dtype=np.int64).reshape(-1, 4).T
        return cls(*columns)


def ordered(scores: Floats, pairs: Comparison) -> Floats:
    """Give 1 for each pair in order, 0.5 for a tie, 0 for a reversed one."""
    return (np.sign(scores[pairs.better] - scores[pairs.worse]) + 1) / 2


def kendall(rows: Sequence[Tiers], tiers: Sequence[str], scores: Floats) -> dict[str, float | int]:
    """Give the mean over rows of Kendall's tau-b between tier order and score, with its interval."""
    taus, first = [], 0
    for row in rows:
        names = list(row.responses)
        mine = scores[first : first + len(names)]
        first += len(names)
        levels = [-tiers.index(name) for name in names]
        taus.append(_tau(np.asarray(levels, dtype=np.float64), mine))
    values = np.asarray([tau for tau in taus if not np.isnan(tau)])
    if not len(values):
        return {"n": 0}
    low, high = interval(values, np.ones(len(values)))
    return {"tau": float(values.mean()), "low": low, "high": high, "n": len(values)}


def _tau(levels: Floats, scores: Floats) -> float:
    """Kendall's tau-b of two short sequences; NaN where one of them is constant."""
    a = np.sign(levels[:, None] - levels)[np.triu_indices(len(levels), 1)]
    b = np.sign(scores[:, None] - scores)[np.triu_indices(len(scores), 1)]
    norm = np.sqrt((a != 0).sum() * (b != 0).sum())
    return float((a * b).sum() / norm) if norm else float("nan")


def evaluate(
    rows: Sequence[Tiers], tiers: Sequence[str], scores: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """Evaluate the scores of all responses, in the order rows and responses stand.

    Gives `overall`, `pairs` and `sources`, each with `all` and `length_matched` and in them the ranker, longest,
    shortest and random; `kendall` of each of these; `auc` of each tier pair and each of these; and the correlation of
    the ranker's score with length.
    """
    lengths = np.asarray([len(text) for row in rows for text in row.responses.values()], dtype=np.float64)
    entrants = contenders(scores, lengths)
    pairs = Comparison.of(rows, tiers)
    right = {name: ordered(values, pairs) for name, values in entrants.items()}
    alike = matched(lengths[pairs.better], lengths[pairs.worse])
    sources = np.asarray([row.source or "" for row in rows], dtype=object)[pairs.row]

    def table(some: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            title: {name: accuracy(values[mask], pairs.row[mask]) for name, values in right.items()}
            for title, mask in (("all", some), ("length_matched", some & alike))
        }

    named = list(enumerate(f"{a}>{b}" for a, b in combinations(tiers, 2)))
    return {
        "objective": "tiers",
        "measure": "accuracy",
        "rows": len(rows),
        "responses": len(lengths),
        "tiers": list(tiers),
        "overall": table(np.ones(len(pairs.row), dtype=bool)),
        "pairs": {name: table(pairs.pair == number) for number, name in named},
        "sources": {source: table(sources == source) for source in sorted(set(sources)) if source},
        "kendall": {who: kendall(rows, list(tiers), values) for who, values in entrants.items()},
        "auc": {
            name: {who: _pair_auc(values, pairs, number) for who, values in entrants.items()}
            for number, name in named
        },
        "length_correlation": length_correlation(entrants["ranker"], lengths),
    }


def _pair_auc(scores: Floats, pairs: Comparison, number: int) -> float | None:
    mine = pairs.pair == number
    return auc(scores[pairs.better[mine]], scores[pairs.worse[mine]]) if mine.any() else None

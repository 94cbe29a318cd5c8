"""Which records are shown as examples: a few of each tenth of the scores, kept and dropped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.report.facts import Records

TENTHS = 10
OF_EACH = 3
"""Kept, and as many dropped, of each tenth."""


@dataclass(frozen=True)
class Drawn:
    """Records to show, the best tenth first: numbers, and the tenth of each from 10, the best, to 1."""

    records: NDArray[np.int64]
    tenths: NDArray[np.int64]


def tenths(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Give each record's tenth, 10 the best and 0 without a score; of equal scores the earlier record is the better."""
    found = np.zeros(len(scores), dtype=np.int64)
    there = np.flatnonzero(np.isfinite(scores))
    order = there[np.argsort(-scores[there], kind="stable")]
    found[order] = TENTHS - np.arange(len(order)) * TENTHS // max(1, len(order))
    return found


def drawn(records: Records, seed: int) -> Drawn:
    """Draw the examples; within a tenth they stand best first."""
    of, rng = tenths(records.score), np.random.default_rng(seed)
    found: list[NDArray[np.int64]] = []
    for tenth in range(TENTHS, 0, -1):
        parts = (
            rng.permutation(np.flatnonzero((of == tenth) & mask)) for mask in (records.kept, ~records.kept)
        )
        some = np.sort(np.concatenate([part[:OF_EACH] for part in parts]))
        found.append(some[np.argsort(-records.score[some], kind="stable")])
    every = np.concatenate(found)
    return Drawn(every, of[every])

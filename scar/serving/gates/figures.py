"""How far candidate scores are from the reference: differences and ranks. Knows no limits.

Scores have shape (n,); differences are in the scores' own unit, `sigma` is the reference scores' standard deviation.
Embeddings, (n, d), stand in their place where an encoder is judged: all their numbers are compared, and none is ranked.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from scar.ranks import spearman

NEAR = 0.1
"""A row within so many sigma of the reference counts as near."""
FLAT = 1e-5
"""Scores within this of each other, relatively, are one score."""


@dataclass(frozen=True)
class Figures:
    """How far candidate scores are from the reference."""

    rows: int
    sigma: float
    max_difference: float
    rms: float
    spearman: float
    within: float
    """Share of the rows that are near."""
    top_10: float
    """Share of the reference's best tenth that is among the candidate's best tenth."""
    top_1: float
    """The same of the best hundredth."""

    def plain(self) -> dict[str, float | None]:
        """Give figures that JSON can hold: null where a number is not finite."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def compare(
    reference: NDArray[np.floating], candidates: Sequence[NDArray[np.floating]], sigma: float
) -> Figures:
    """Compare the reference scores with every run of the candidate; a missing score counts as infinitely far.

    Later runs may be of the first rows alone. Ranks are those of the first run.
    """
    wide = np.asarray(reference, dtype=np.float64)
    ranks = wide.ndim == 1
    every = np.concatenate([differences(wide, scores) for scores in candidates])
    first = np.asarray(candidates[0], dtype=np.float64)
    return Figures(
        rows=len(wide),
        sigma=sigma,
        max_difference=float(every.max()),
        rms=float(np.sqrt((every**2).mean())),
        spearman=spearman(wide, first) if ranks and np.isfinite([wide, first]).all() else math.nan,
        within=float((every <= NEAR * sigma).mean()),
        top_10=overlap(wide, first, 0.1) if ranks else math.nan,
        top_1=overlap(wide, first, 0.01) if ranks else math.nan,
    )


def differences(reference: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give how far the scores of the first rows are from the reference, infinity where one is not finite."""
    wide = np.asarray(reference, dtype=np.float64)[: len(scores)]
    both = np.isfinite(wide) & np.isfinite(scores)
    out = np.full(wide.shape, np.inf)
    out[both] = np.abs(np.asarray(scores, dtype=np.float64)[both] - wide[both])
    return out


def overlap(reference: NDArray[np.floating], scores: NDArray[np.floating], share: float) -> float:
    """Give which share of the reference's best rows is among the candidate's best; the earlier row wins a tie."""
    k = max(1, math.ceil(share * len(reference)))
    best, theirs = (np.argsort(-values, kind="stable")[:k] for values in (reference, scores))
    return len(np.intersect1d(best, theirs)) / k


def spread(scores: NDArray[np.floating]) -> float:
    """Give the standard deviation of scores, 0 where they are equal but for rounding, NaN where one is not finite."""
    wide = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(wide).all():
        return math.nan
    # Equal rows differ by a rounding error, and so does the standard deviation of equal numbers: neither is a spread.
    return 0.0 if np.ptp(wide) <= FLAT * np.abs(wide).max() else float(np.std(wide))

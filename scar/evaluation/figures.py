"""What every evaluation measures with: contenders, intervals over redrawn rows, accuracy, AUC, the part of length."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.ranks import spearman

LENGTH_MATCHED = 0.25
"""Pairs whose |ln length ratio| is below this count as matched in length (characters)."""
RESAMPLES = 1000
SEED = 0

Floats = NDArray[np.float64]


def contenders(scores: NDArray[np.floating[Any]], lengths: Floats) -> dict[str, Floats]:
    """Give the ranker's scores of all responses, and those of the baselines that it must beat."""
    return {
        "ranker": np.asarray(scores, dtype=np.float64),
        "longest": lengths,
        "shortest": -lengths,
        "random": np.random.default_rng(SEED).random(len(lengths)),
    }


def matched(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Tell which of two lengths are about the same; arrays broadcast."""
    close: NDArray[np.bool_] = np.abs(np.log(a) - np.log(b)) < LENGTH_MATCHED
    return close


def length_correlation(scores: Floats, lengths: Floats) -> dict[str, float | int | None]:
    """Give Spearman's correlation of score and length of a response; null where one of them is constant."""
    return {"spearman": correlation(scores, lengths), "n": len(scores)}


def correlation(a: Floats, b: Floats) -> float | None:
    """Give Spearman's correlation as JSON can hold it: null where it is none."""
    value = spearman(a, b) if len(a) else float("nan")
    return None if np.isnan(value) else value


def accuracy(right: Floats, rows: NDArray[np.int64], seed: int = SEED) -> dict[str, float | int]:
    """Give the share of right pairs with a bootstrap 95 % interval; whole rows are drawn, not pairs."""
    if not len(right):
        return {"n": 0}
    _, row = np.unique(rows, return_inverse=True)
    counts = np.bincount(row).astype(np.float64)
    low, high = interval(np.bincount(row, weights=right).astype(np.float64), counts, seed)
    return {"accuracy": float(right.mean()), "low": low, "high": high, "n": len(right)}


def interval(sums: Floats, counts: Floats, seed: int = SEED) -> tuple[float, float]:
    """Give the 95 % percentile interval of sum(sums) / sum(counts) over redrawn rows."""
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        drawn = random.integers(0, len(sums), len(sums))
        means[number] = sums[drawn].sum() / counts[drawn].sum()
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def auc(positive: Floats, negative: Floats) -> float:
    """Give the probability that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    if not len(positive) or not len(negative):
        return float("nan")
    both = np.sort(negative)
    below = np.searchsorted(both, positive, "left")
    upto = np.searchsorted(both, positive, "right")
    return float((below + upto).sum() / 2 / len(positive) / len(negative))

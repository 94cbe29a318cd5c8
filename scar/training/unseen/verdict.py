"""Can seen rows be told from candidates? The AUC of out-of-fold scores, its interval, and a verdict in words.

Scores of different folds come from different models and do not compare: an AUC is taken in each fold, never over
pooled scores (which would also stand below .5 where there is nothing to tell). Rows are drawn anew by group.

Redrawing the rows alone takes the models as given, and is too sure: each row is both tested and, for the other folds,
trained on, so the AUC of a null varies half as much again. The interval is stretched for that (`stretch`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.training.unseen.folds import Groups, Seen

RESAMPLES = 1000
LEVEL = 0.90
"""Of the interval. Its lower end is a one-sided test at 5 %: only seen rows that score higher count as told apart."""
NEARLY = 0.8
"""Length alone tells nearly as well from this share of the distance to .5 on."""
FEW = 10
"""Groups of a side in a fold below which redrawing them tells too little of how far the AUC could be off."""
CELLS = 4_000_000
"""Weights (resamples x rows) held at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutOfFold:
    """Scores of n rows by models that did not see them; higher means more like the seen rows. All arrays are (n,)."""

    scores: Floats
    seen: Seen
    fold: NDArray[np.int16]
    groups: Groups

    def __post_init__(self) -> None:
        """Refuse scores that cannot be ordered."""
        if not np.isfinite(self.scores).all():
            raise ValueError(f"{int((~np.isfinite(self.scores)).sum())} out-of-fold scores are not finite")


@dataclass(frozen=True)
class Verdict:
    """Whether seen rows and candidates can be told apart, and how sure that is."""

    auc: float
    """Mean of the folds' AUCs."""
    low: float
    high: float
    """Bootstrap 90 % interval of `auc`, by group, stretched for the rows that the folds' models share."""
    fold_aucs: tuple[float, ...]
    length_auc: float
    """The same mean where the classifier knows nothing but the length."""
    told_apart: bool
    """One-sided: `low` is above .5."""
    words: str
    warnings: tuple[str, ...]


def verdict_of(scored: OutOfFold, length_scores: Floats, *, seed: int = 0) -> Verdict:
    """Judge out-of-fold scores; `length_scores` (n,) are those of a classifier that knows the length only."""
    aucs = fold_aucs(scored.scores, scored.seen, scored.fold)
    auc, length = float(np.mean(aucs)), float(np.mean(fold_aucs(length_scores, scored.seen, scored.fold)))
    low, high = auc_interval(scored, seed=seed)
    told = low > 0.5
    figures = f"AUC {auc:.3f}, {LEVEL:.0%} interval {low:.3f} to {high:.3f}"
    words = (
        f"seen rows and candidates can be told apart ({figures})"
        if told
        else f"seen rows and candidates cannot be told apart ({figures}): the scores are noise"
    )
    warnings = []
    if told and length - 0.5 >= NEARLY * (auc - 0.5):
        warnings.append(f"length alone tells them apart nearly as well (AUC {length:.3f} against {auc:.3f})")
    groups = min(len(np.unique(scored.groups[side])) for side in (scored.seen, ~scored.seen))
    if groups < FEW * len(aucs):
        warnings.append(
            f"one side is {groups} groups in {len(aucs)} folds: the interval is of little worth; give more rows"
        )
    return Verdict(auc, low, high, tuple(aucs), length, told, words, tuple(warnings))


def fold_aucs(scores: Floats, seen: Seen, fold: NDArray[np.int16]) -> list[float]:
    """Give each fold's AUC, seen above candidates."""
    folds = [fold == number for number in range(int(fold.max()) + 1)]
    return [float(weighted_aucs(scores[f], seen[f], np.ones((1, int(f.sum()))))[0]) for f in folds]


def auc_interval(
    scored: OutOfFold, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Give the interval of the mean of the fold AUCs: groups redrawn inside each fold, stretched about the AUC."""
    random = np.random.default_rng(seed)
    folds = int(scored.fold.max()) + 1
    drawn = np.empty((folds, resamples))
    for number in range(folds):
        mine = scored.fold == number
        _, group = np.unique(scored.groups[mine], return_inverse=True)
        step = max(1, CELLS // len(group))
        for first in range(0, resamples, step):
            some = slice(first, min(first + step, resamples))
            weights = _redrawn(group, some.stop - first, random)
            drawn[number, some] = weighted_aucs(scored.scores[mine], scored.seen[mine], weights)
    # A redraw of few groups may lack a class in one fold: the others are averaged. In all of them: it says nothing.
    means = np.nanmean(drawn[:, np.isfinite(drawn).any(axis=0)], axis=0)
    tail = (1 - level) / 2
    low, high = np.quantile(means, tail), np.quantile(means, 1 - tail)
    auc = float(np.mean(fold_aucs(scored.scores, scored.seen, scored.fold)))
    return (
        max(0.0, auc - stretch(folds) * (auc - float(low))),
        min(1.0, auc + stretch(folds) * (float(high) - auc)),
    )


def stretch(folds: int) -> float:
    """Give the factor between the spread of a cross-validated figure and that of its rows alone.

    The square root of 1 + K / (K - 1): Nadeau and Bengio 2003, "Inference for the generalization error", eq. 9, the
    corrected variance (1 / K + n_test / n_train) over 1 / K. 1.5 for 5 folds.
    """
    return float(np.sqrt(1 + folds / (folds - 1)))


def _redrawn(group: NDArray[np.int64], times: int, random: np.random.Generator) -> Floats:
    """Draw groups with replacement: how often each row was drawn, (times, n)."""
    n = int(group.max()) + 1
    drawn = random.integers(0, n, (times, n)) + np.arange(times)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=times * n).reshape(times, n)[:, group].astype(np.float64)


def weighted_aucs(scores: Floats, seen: Seen, weights: Floats) -> Floats:
    """Give the AUC of one set of scores under many weightings (m, n) -> (m,); ties count half (Mann-Whitney).

    NaN where the weights leave a class empty.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    weights, seen = weights[:, order], seen[order]
    positive = np.add.reduceat(weights * seen, starts, axis=1)
    negative = np.add.reduceat(weights * ~seen, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(axis=1)
    both = positive.sum(axis=1) * negative.sum(axis=1)
    aucs: Floats = np.divide(wins, both, out=np.full(len(both), np.nan), where=both > 0)
    return aucs

"""Rules: values that say which scored records to keep. Numpy only; they know nothing of text or files.

A rule is a frozen dataclass with `select`; `a + b` is a chain in which b sees what a kept. Ties go to the earlier
record.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.selection.fuse import By
from scar.selection.fuse import Fuse as Fuse
from scar.selection.scored import Scored

KEPT, NOT_ELIGIBLE = -1, -2


@dataclass(frozen=True)
class Selection:
    """Records that were kept, best first, and what became of the others."""

    rows: NDArray[np.int64]
    """Numbers of the kept records."""
    scores: NDArray[np.float32]
    """Their scores, in the same order."""
    reasons: NDArray[np.int16]
    """For every record: KEPT, NOT_ELIGIBLE, or the number of the stage that dropped it."""
    stages: tuple[str, ...]
    """The stages, as they print."""

    def why(self, record: int) -> str:
        """Say in words what became of a record."""
        code = int(self.reasons[record])
        words = {KEPT: "kept by " + ", ".join(self.stages), NOT_ELIGIBLE: "has no score"}
        return words[code] if code in words else f"dropped by {self.stages[code]}"


@runtime_checkable
class Rule(Protocol):
    """Anything that turns scored records into a selection."""

    def select(self, rows: Scored) -> Selection:
        """Choose among the eligible records."""
        ...


class _Chained:
    """Gives a rule `+`; the one base class of the rules."""

    def __str__(self) -> str:
        """Write the rule with the settings that were given."""
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given if v is not None)})"

    def __add__(self, other: Rule) -> "Chain":
        return Chain((*stages_of(self), *stages_of(other)))


def stages_of(rule: Any) -> tuple[Rule, ...]:
    """Give the stages of a rule: a chain's, or the rule itself."""
    return rule.rules if isinstance(rule, Chain) else (rule,)


def _select(rule: Any, rows: Scored, keep: NDArray[np.bool_], by: By | None) -> Selection:
    """Make the selection of one rule from its mask over all records."""
    scores = rows.column(by)
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    reasons = np.where(keep, KEPT, np.where(rows.eligible, 0, NOT_ELIGIBLE)).astype(np.int16)
    # A fused score orders in float64, where near places of a large pool still differ.
    return Selection(kept, scores[kept].astype(np.float32), reasons, (str(rule),))


def _require(fits: bool, message: str) -> None:
    if not fits:
        raise InputError(message)


_MOST = float(np.finfo(np.float32).max)


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(-_MOST <= value <= _MOST)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _best(scores: NDArray[np.floating[Any]], among: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """Mark the k best of some records; the earlier record wins a tie."""
    candidates = np.flatnonzero(among)
    best = candidates[np.argsort(-scores[candidates], kind="stable")[:k]]
    keep = np.zeros(len(scores), dtype=bool)
    keep[best] = True
    return keep


@dataclass(frozen=True)
class TopK(_Chained):
    """Keep the `k` highest scores."""

    k: int
    by: By | None = None

    def __post_init__(self) -> None:
        """Check k."""
        _require(_whole(self.k) and self.k >= 1, f"TopK needs a whole k of at least 1, got {self.k!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep the k best; all of them where there are fewer."""
        return _select(self, rows, _best(rows.finite(self.by), rows.eligible, self.k), self.by)


@dataclass(frozen=True)
class Above(_Chained):
    """Keep scores of at least `x`."""

    x: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check x."""
        _require(_number(self.x), f"Above needs a finite number x, got {self.x!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep what reaches x."""
        # As it is printed: in float32, a fused one too.
        scores = rows.finite(self.by).astype(np.float32, copy=False)
        return _select(self, rows, rows.eligible & (scores >= self.x), self.by)


@dataclass(frozen=True)
class Ratio(_Chained):
    """Keep the best share of what is left, rounded up: at least one record."""

    ratio: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the ratio."""
        fits = _number(self.ratio) and 0 < self.ratio <= 1
        _require(fits, f"Ratio needs a share above 0 and at most 1, got {self.ratio!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep ceil(ratio x eligible) records."""
        # 0.07 * 100 is 7.000000000000001: without the rounding its ceiling would be 8.
        k = max(1, math.ceil(round(self.ratio * int(rows.eligible.sum()), 9)))
        return _select(self, rows, _best(rows.finite(self.by), rows.eligible, k), self.by)


@dataclass(frozen=True)
class Quantile(_Chained):
    """Keep scores of at least the `q` quantile of what is left."""

    q: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check q."""
        _require(_number(self.q) and 0 <= self.q <= 1, f"Quantile needs q from 0 to 1, got {self.q!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep what reaches the quantile (numpy's linear interpolation)."""
        scores = rows.finite(self.by)
        if not rows.eligible.any():
            return _select(self, rows, rows.eligible, self.by)
        least = np.quantile(scores[rows.eligible].astype(np.float64), self.q)
        return _select(self, rows, rows.eligible & (scores >= least), self.by)


@dataclass(frozen=True)
class PerGroup(_Chained):
    """Keep the `n` highest scores of each value of a carried column; rows without a value are one group."""

    column: str
    n: int
    by: By | None = None

    def __post_init__(self) -> None:
        """Check n."""
        _require(_whole(self.n) and self.n >= 1, f"PerGroup needs a whole n of at least 1, got {self.n!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep the n best of each group."""
        scores, groups = rows.finite(self.by), rows.groups(self.column)
        candidates = np.flatnonzero(rows.eligible)
        order = candidates[np.lexsort((candidates, -scores[candidates], groups[candidates]))]
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        keep = np.zeros(len(rows), dtype=bool)
        keep[order[rank < self.n]] = True
        return _select(self, rows, keep, self.by)


@dataclass(frozen=True)
class Chain(_Chained):
    """Stages one after the other; each sees what the one before kept. The run's own score orders the result."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Check that there is a stage."""
        if not self.rules:
            raise InputError("a chain of rules needs at least one rule")

    def select(self, rows: Scored) -> Selection:
        """Run the stages, and keep for each record which of them dropped it."""
        rows.finite()  # what orders the result is asked for before a stage can hide a hole in it
        reasons = np.where(rows.eligible, KEPT, NOT_ELIGIBLE).astype(np.int16)
        for number, rule in enumerate(self.rules):
            dropped = rows.eligible & (rule.select(rows).reasons != KEPT)
            reasons[dropped] = number
            rows = rows.only(rows.eligible & ~dropped)
        kept = _select(self, rows, rows.eligible, None)
        return Selection(kept.rows, kept.scores, reasons, tuple(str(rule) for rule in self.rules))

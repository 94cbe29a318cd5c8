"""Rules of scores alone: a number, a share, a threshold, a quantile. Numpy only."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.selection.fuse import By
from scar.selection.rules.budget import Budget, best_within
from scar.selection.rules.rule import Chained, Outcome, Selection, is_number, is_whole, require, selection
from scar.selection.scored import Scored


def _cut(rule: Chained, rows: Scored, keep: NDArray[np.bool_], by: By | None) -> Selection:
    """Make a selection that tells the lowest score it kept."""
    facts = {"lowest_kept": float(rows.column(by)[keep].min())} if keep.any() else {}
    return selection(rule, rows, Outcome(keep, facts=facts), by)


@dataclass(frozen=True)
class TopK(Chained):
    """Keep the `k` highest scores."""

    k: int
    by: By | None = None

    def __post_init__(self) -> None:
        """Check k."""
        require(is_whole(self.k) and self.k >= 1, f"TopK needs a whole k of at least 1, got {self.k!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep the k best; all of them where there are fewer."""
        return _cut(self, rows, best_within(rows, Budget(rows=self.k), self.by), self.by)


@dataclass(frozen=True)
class Above(Chained):
    """Keep scores of at least `x`."""

    x: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check x."""
        require(is_number(self.x), f"Above needs a finite number x, got {self.x!r}")

    def bounds(self) -> tuple[Any, float, float]:
        """Bound a score from below."""
        return self.by, self.x, math.inf

    def select(self, rows: Scored) -> Selection:
        """Keep what reaches x."""
        # As it is printed: in float32, a fused one too.
        scores = rows.finite(self.by).astype(np.float32, copy=False)
        return selection(self, rows, rows.eligible & (scores >= self.x), self.by)


@dataclass(frozen=True)
class Ratio(Chained):
    """Keep the best share of what is left, rounded up: at least one record."""

    ratio: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the ratio."""
        fits = is_number(self.ratio) and 0 < self.ratio <= 1
        require(fits, f"Ratio needs a share above 0 and at most 1, got {self.ratio!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep ceil(ratio x eligible) records."""
        # 0.07 * 100 is 7.000000000000001: without the rounding its ceiling would be 8.
        k = max(1, math.ceil(round(self.ratio * int(rows.eligible.sum()), 9)))
        return _cut(self, rows, best_within(rows, Budget(rows=k), self.by), self.by)


@dataclass(frozen=True)
class Quantile(Chained):
    """Keep scores of at least the `q` quantile of what is left."""

    q: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check q."""
        require(is_number(self.q) and 0 <= self.q <= 1, f"Quantile needs q from 0 to 1, got {self.q!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep what reaches the quantile (numpy's linear interpolation)."""
        scores = rows.finite(self.by)
        if not rows.eligible.any():
            return selection(self, rows, rows.eligible, self.by)
        least = np.quantile(scores[rows.eligible].astype(np.float64), self.q)
        return _cut(self, rows, rows.eligible & (scores >= least), self.by)


@dataclass(frozen=True)
class Between(Chained):
    """Keep scores from `low` to `high`, both included: what is neither too easy nor broken, say."""

    low: float
    high: float
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        require(
            is_number(self.low) and is_number(self.high) and self.low <= self.high,
            f"Between needs finite numbers low <= high, got {self.low!r} and {self.high!r}",
        )

    def bounds(self) -> tuple[Any, float, float]:
        """Bound a score from both sides."""
        return self.by, self.low, self.high

    def select(self, rows: Scored) -> Selection:
        """Keep what lies between."""
        scores = rows.finite(self.by).astype(np.float32, copy=False)
        return selection(self, rows, rows.eligible & (scores >= self.low) & (scores <= self.high), self.by)

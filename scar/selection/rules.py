"""Rules: values that say which scored records to keep. Numpy only; they know nothing of text or files.

A rule is a frozen dataclass with `select`; `a + b` is a chain in which b sees what a kept. Ties go to the earlier
record.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
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
        return Chain((*_stages(self), *_stages(other)))


def _stages(rule: Any) -> tuple[Rule, ...]:
    return rule.rules if isinstance(rule, Chain) else (rule,)


def _select(rule: Any, rows: Scored, keep: NDArray[np.bool_], by: str | None) -> Selection:
    """Make the selection of one rule from its mask over all records."""
    scores = rows.column(by)
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    reasons = np.where(keep, KEPT, np.where(rows.eligible, 0, NOT_ELIGIBLE)).astype(np.int16)
    return Selection(kept, scores[kept], reasons, (str(rule),))


def _finite(rows: Scored, by: str | None) -> NDArray[np.float32]:
    """Give the scores; an eligible record without one is an error, not a low score."""
    scores = rows.column(by)
    bad = np.flatnonzero(rows.eligible & ~np.isfinite(scores))
    if bad.size:
        raise InputError(f"{bad.size} records have no finite {by or rows.by!r}, the first is record {bad[0]}")
    return scores


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


def _best(scores: NDArray[np.float32], among: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
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
    by: str | None = None

    def __post_init__(self) -> None:
        """Check k."""
        _require(_whole(self.k) and self.k >= 1, f"TopK needs a whole k of at least 1, got {self.k!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep the k best; all of them where there are fewer."""
        return _select(self, rows, _best(_finite(rows, self.by), rows.eligible, self.k), self.by)


@dataclass(frozen=True)
class Above(_Chained):
    """Keep scores of at least `x`."""

    x: float
    by: str | None = None

    def __post_init__(self) -> None:
        """Check x."""
        _require(_number(self.x), f"Above needs a finite number x, got {self.x!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep what reaches x."""
        return _select(self, rows, rows.eligible & (_finite(rows, self.by) >= self.x), self.by)


@dataclass(frozen=True)
class Ratio(_Chained):
    """Keep the best share of what is left, rounded up: at least one record."""

    ratio: float
    by: str | None = None

    def __post_init__(self) -> None:
        """Check the ratio."""
        fits = _number(self.ratio) and 0 < self.ratio <= 1
        _require(fits, f"Ratio needs a share above 0 and at most 1, got {self.ratio!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep ceil(ratio x eligible) records."""
        # 0.07 * 100 is 7.000000000000001: without the rounding its ceiling would be 8.
        k = max(1, math.ceil(round(self.ratio * int(rows.eligible.sum()), 9)))
        return _select(self, rows, _best(_finite(rows, self.by), rows.eligible, k), self.by)


@dataclass(frozen=True)
class Quantile(_Chained):
    """Keep scores of at least the `q` quantile of what is left."""

    q: float
    by: str | None = None

    def __post_init__(self) -> None:
        """Check q."""
        _require(_number(self.q) and 0 <= self.q <= 1, f"Quantile needs q from 0 to 1, got {self.q!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep what reaches the quantile (numpy's linear interpolation)."""
        scores = _finite(rows, self.by)
        if not rows.eligible.any():
            return _select(self, rows, rows.eligible, self.by)
        least = np.quantile(scores[rows.eligible].astype(np.float64), self.q)
        return _select(self, rows, rows.eligible & (scores >= least), self.by)


@dataclass(frozen=True)
class PerGroup(_Chained):
    """Keep the `n` highest scores of each value of a carried column; rows without a value are one group."""

    column: str
    n: int
    by: str | None = None

    def __post_init__(self) -> None:
        """Check n."""
        _require(_whole(self.n) and self.n >= 1, f"PerGroup needs a whole n of at least 1, got {self.n!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep the n best of each group."""
        scores, groups = _finite(rows, self.by), rows.groups(self.column)
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
        reasons = np.where(rows.eligible, KEPT, NOT_ELIGIBLE).astype(np.int16)
        for number, rule in enumerate(self.rules):
            dropped = rows.eligible & (rule.select(rows).reasons != KEPT)
            reasons[dropped] = number
            rows = rows.only(rows.eligible & ~dropped)
        kept = _select(self, rows, rows.eligible, None)
        return Selection(kept.rows, kept.scores, reasons, tuple(str(rule) for rule in self.rules))


RULES: dict[str, type[Any]] = {rule.__name__: rule for rule in (TopK, Above, Ratio, Quantile, PerGroup)}


def from_config(config: Any) -> tuple[Chain, str | None]:
    """Read the content of a rules.yaml; gives the chain and the score to order by, where it names one."""
    if not isinstance(config, dict) or not isinstance(config.get("keep"), list) or not config["keep"]:
        raise InputError("rules need a `keep:` list of rules, top to bottom, such as `- TopK: {k: 1000}`")
    unknown = sorted(set(config) - {"keep", "by"}, key=str)
    if unknown:
        raise InputError(f"rules: unknown key {unknown[0]!r}; known: by, keep")
    by = config.get("by")
    if by is not None and not isinstance(by, str):
        raise InputError(f"rules: `by` must name one score, got {by!r}")
    return Chain(tuple(_rule(entry, number) for number, entry in enumerate(config["keep"], start=1))), by


def _rule(entry: Any, number: int) -> Rule:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise InputError(
            f"rules: stage {number} must be one rule, such as `TopK: {{k: 1000}}`; got {entry!r}"
        )
    ((name, settings),) = entry.items()
    if name not in RULES:
        raise InputError(f"rules: stage {number}: no rule {name!r}; there are: {', '.join(RULES)}")
    known = [field.name for field in fields(RULES[name])]
    if not isinstance(settings, dict) or not set(settings) <= set(known):
        extra = sorted(set(settings) - set(known), key=str) if isinstance(settings, dict) else [settings]
        raise InputError(
            f"rules: stage {number}: {name} has no setting {extra[0]!r}; it has: {', '.join(known)}"
        )
    if wrong := [key for key in ("by", "column") if not isinstance(settings.get(key), str | None)]:
        raise InputError(
            f"rules: stage {number}: {name}: {wrong[0]} must name a column, got {settings[wrong[0]]!r}"
        )
    try:
        rule: Rule = RULES[name](**settings)
    except TypeError:
        raise InputError(f"rules: stage {number}: {name} needs {', '.join(known)}; got {settings}") from None
    except InputError as error:
        raise InputError(f"rules: stage {number}: {error}") from None
    return rule


def columns_of(rule: Rule) -> list[str]:
    """List the pool columns that a rule groups by: `scar filter` carries them."""
    found = [stage.column for stage in _stages(rule) if isinstance(stage, PerGroup)]
    return list(dict.fromkeys(found))


def check_scores(rule: Rule, by: str | None, rankers: Sequence[str]) -> None:
    """Raise InputError for a score that no ranker gives, before anything long is done."""
    known = {column for name in rankers for column in (name, f"{name}_tokens")}
    for name in (by, *(getattr(stage, "by", None) for stage in _stages(rule))):
        if name is not None and name not in known:
            raise InputError(f"no score {name!r}; there are: {', '.join(sorted(known))}")

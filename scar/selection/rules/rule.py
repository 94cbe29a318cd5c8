"""What a rule is, and what it gives: a selection. Numpy only; knows nothing of text or files.

A rule is a frozen dataclass with `select`. Ties go to the earlier record, everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.selection.fuse import By
from scar.selection.scored import Scored

if TYPE_CHECKING:
    from scar.selection.rules.chain import Chain

KEPT, NOT_ELIGIBLE = -1, -2
NOBODY = -1
"""Stands where no record crowded another one out."""


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
    crowded_by: NDArray[np.int64] | None = None
    """For every record: the kept record that took its place, or NOBODY; None where no stage knows of such."""
    facts: tuple[Mapping[str, Any], ...] = ()
    """Of each stage: what it found on its way, such as a radius or the number of clusters. JSON values."""
    must: NDArray[np.bool_] | None = None
    """Records that no later stage may drop; None where there are none."""

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


@dataclass(frozen=True)
class Needs:
    """What a rule reads besides the scores it names in `by`."""

    columns: tuple[str, ...] = ()
    """Columns of the pool, which must be carried into the scores."""
    embeddings: bool = False
    texts: bool = False


class Chained:
    """Gives a rule `+`, its words, and what it needs; the one base class of the rules."""

    def __str__(self) -> str:
        """Write the rule with the settings that are not at their default."""
        said = [(each, getattr(self, each.name)) for each in fields(self)]  # type: ignore[arg-type]
        given = ", ".join(f"{each.name}={_plain(value)!r}" for each, value in said if value != each.default)
        return f"{type(self).__name__}({given})"

    def __add__(self, other: Rule) -> "Chain":
        """Make a chain: `other` sees what this rule kept."""
        from scar.selection.rules.chain import Chain, stages_of

        return Chain((*stages_of(self), *stages_of(other)))

    def needs(self) -> Needs:
        """Say what the rule reads: a column that it names."""
        column = getattr(self, "column", None)
        return Needs(columns=(column,) if isinstance(column, str) else ())


def _plain(value: Any) -> Any:
    """Give one of numpy's numbers as Python's."""
    return value.item() if isinstance(value, np.generic) else value


@runtime_checkable
class Bounded(Protocol):
    """A rule that keeps what lies within bounds."""

    def bounds(self) -> tuple[Any, float, float]:
        """Give what is bounded, the least and the most, both included."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What one rule decides: a mask over all records, and what it can tell of it."""

    keep: NDArray[np.bool_]
    crowded_by: NDArray[np.int64] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    must: NDArray[np.bool_] | None = None


def selection(
    rule: Any, rows: Scored, outcome: NDArray[np.bool_] | Outcome, by: By | None = None
) -> Selection:
    """Make the selection of one rule from what it decided; what must stay stays."""
    outcome = outcome if isinstance(outcome, Outcome) else Outcome(outcome)
    keep = outcome.keep | (rows.must & rows.eligible)
    scores = rows.column(by)
    kept = np.flatnonzero(keep)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    reasons = np.where(keep, KEPT, np.where(rows.eligible, 0, NOT_ELIGIBLE)).astype(np.int16)
    # A fused score orders in float64, where near places of a large pool still differ.
    return Selection(
        kept,
        scores[kept].astype(np.float32),
        reasons,
        (str(rule),),
        outcome.crowded_by,
        (dict(outcome.facts),),
        outcome.must,
    )


def require(fits: bool, message: str) -> None:
    """Raise InputError with a message unless something holds."""
    if not fits:
        raise InputError(message)


_MOST = float(np.finfo(np.float32).max)


def is_number(value: object) -> bool:
    """Tell whether a setting is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(-_MOST <= value <= _MOST)


def is_whole(value: object) -> bool:
    """Tell whether a setting is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_seed(value: object) -> bool:
    """Tell whether a setting is a seed."""
    return is_whole(value) and 0 <= value < 2**32  # type: ignore[operator]


def best_first(scores: NDArray[np.floating[Any]], among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number some records best first; the earlier record wins a tie."""
    candidates = np.flatnonzero(among)
    return candidates[np.argsort(-scores[candidates], kind="stable")]

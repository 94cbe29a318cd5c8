"""Rules one after the other. Numpy only; knows nothing of text or files."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from scar.errors import InputError
from scar.selection.rules.rule import (
    KEPT,
    NOBODY,
    NOT_ELIGIBLE,
    Bounded,
    Chained,
    Needs,
    Rule,
    Selection,
    selection,
)
from scar.selection.scored import Scored


def stages_of(rule: Any) -> tuple[Rule, ...]:
    """Give the stages of a rule: a chain's, or the rule itself."""
    return rule.rules if isinstance(rule, Chain) else (rule,)


def needs_of(rule: Any) -> Needs:
    """Say what all stages of a rule read; a rule of a user's own is taken to read scores alone."""
    all_of = [stage.needs() for stage in stages_of(rule) if isinstance(stage, Chained)]
    return Needs(
        tuple(dict.fromkeys(column for each in all_of for column in each.columns)),
        any(each.embeddings for each in all_of),
        any(each.texts for each in all_of),
    )


def refuse_contradictions(rules: Sequence[Any]) -> None:
    """Raise InputError where two rules leave nothing between them, whatever the scores are."""
    bounded = [(rule, *rule.bounds()) for rule in rules if isinstance(rule, Bounded)]
    for (one, what, low, high), (other, what_else, low_else, high_else) in combinations(bounded, 2):
        if what == what_else and max(low, low_else) > min(high, high_else):
            raise InputError(f"{one} and {other} contradict each other: no record passes both")


@dataclass(frozen=True)
class Chain(Chained):
    """Stages one after the other; each sees what the one before kept. The run's own score orders the result."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Check that there is a stage."""
        if not self.rules:
            raise InputError("a chain of rules needs at least one rule")
        object.__setattr__(self, "rules", tuple(stage for rule in self.rules for stage in stages_of(rule)))
        refuse_contradictions(self.rules)

    def __str__(self) -> str:
        """Write the stages as they were added."""
        return " + ".join(map(str, self.rules))

    def needs(self) -> Needs:
        """Say what its stages read."""
        return needs_of(self)

    def select(self, rows: Scored) -> Selection:
        """Run the stages, and keep for each record which of them dropped it, and for whom."""
        rows.finite()  # what orders the result is asked for before a stage can hide a hole in it
        reasons = np.where(rows.eligible, KEPT, NOT_ELIGIBLE).astype(np.int16)
        crowded_by = np.full(len(rows), NOBODY, dtype=np.int64)
        facts = []
        for number, rule in enumerate(self.rules):
            made = rule.select(rows)
            dropped = rows.eligible & ~rows.must & (made.reasons != KEPT)
            reasons[dropped] = number
            if made.crowded_by is not None:
                crowded_by[dropped] = made.crowded_by[dropped]
            facts.append(made.facts[0] if made.facts else {})
            rows = rows.only(rows.eligible & ~dropped, made.must)
        kept = selection(self, rows, rows.eligible)
        return Selection(
            kept.rows,
            kept.scores,
            reasons,
            tuple(str(rule) for rule in self.rules),
            crowded_by if (crowded_by != NOBODY).any() else None,
            tuple(facts),
            rows.must if rows.must.any() else None,
        )

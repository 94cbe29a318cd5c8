"""How much a rule may keep: so many records, or so many tokens. Numpy only."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.selection.fuse import By
from scar.selection.rules.rule import Chained, Outcome, Selection, best_first, is_whole, require, selection
from scar.selection.scored import Scored


@dataclass(frozen=True)
class Budget:
    """So many records, or so many tokens: one of both."""

    rows: int | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, rule: str, k: int | None, tokens: int | None) -> "Budget":
        """Check a rule's `k` and `tokens`. Raises InputError unless one of them is a whole number of at least 1."""
        require(
            (k is None) != (tokens is None), f"{rule} needs k or tokens: one of both, not {_both(k, tokens)}"
        )
        name, value = ("tokens", tokens) if k is None else ("k", k)
        require(
            is_whole(value) and int(value or 0) >= 1,
            f"{rule} needs a whole {name} of at least 1, got {value!r}",
        )
        return cls(k, tokens)

    def purse(self, rows: Scored) -> "Purse":
        """Open a purse for a rule that takes records one by one. Raises InputError where what must stay is too much."""
        costs = np.ones(len(rows), dtype=np.int64) if self.tokens is None else rows.tokens()
        total = self.rows if self.tokens is None else self.tokens
        assert total is not None
        must = rows.must & rows.eligible
        if (least := int(costs[must].sum())) > total:
            what = "records" if self.tokens is None else "tokens"
            raise InputError(
                f"MustKeep holds {least} {what}, and the budget is {total}: raise it, or name fewer rows that must stay"
            )
        cheapest = int(costs[rows.eligible].min()) if rows.eligible.any() else 0
        return Purse(costs, total, cheapest)


def _both(k: int | None, tokens: int | None) -> str:
    return "neither" if k is None and tokens is None else "both"


@dataclass
class Purse:
    """What is left of a budget. A record that costs more than is left is passed over; cheaper ones may still fit."""

    costs: NDArray[np.int64]
    """Of every record."""
    left: int
    cheapest: int
    """Least cost of an eligible record."""
    taken: list[int] = field(default_factory=list)
    """Records that were taken, in that order."""

    @property
    def full(self) -> bool:
        """Whether nothing fits any more."""
        return self.left < max(1, self.cheapest)

    def fits(self, record: int) -> bool:
        """Tell whether a record can be paid."""
        return int(self.costs[record]) <= self.left

    def take(self, record: int) -> bool:
        """Take a record if it can be paid."""
        if not self.fits(record):
            return False
        self.left -= int(self.costs[record])
        self.taken.append(int(record))
        return True

    def keep(self) -> NDArray[np.bool_]:
        """Mark what was taken, over all records."""
        keep = np.zeros(len(self.costs), dtype=bool)
        keep[self.taken] = True
        return keep


def within(rows: Scored, budget: Budget, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the first records of an order that a budget pays for; those that must stay come before all others."""
    purse = budget.purse(rows)
    must = rows.must & rows.eligible
    order = np.concatenate([order[must[order]], order[~must[order]]])
    if budget.tokens is None:
        purse.taken = order[: purse.left].tolist()
        return purse.keep()
    for record in order:
        if purse.full:
            break
        purse.take(int(record))
    return purse.keep()


def best_within(rows: Scored, budget: Budget, by: By | None) -> NDArray[np.bool_]:
    """Mark the best records that a budget pays for."""
    return within(rows, budget, best_first(rows.finite(by), rows.eligible))


@dataclass(frozen=True)
class TokenBudget(Chained):
    """Keep the best records of at most so many tokens together, counted as the ranker read them.

    A record that would overshoot is passed over, and the next ones that still fit are taken.
    """

    tokens: int
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the budget."""
        Budget.of("TokenBudget", None, self.tokens)

    def select(self, rows: Scored) -> Selection:
        """Spend the budget, best first."""
        keep = best_within(rows, Budget(tokens=self.tokens), self.by)
        spent = int(rows.tokens()[keep].sum())
        return selection(self, rows, Outcome(keep, facts={"tokens": spent}), self.by)


@dataclass(frozen=True)
class LengthBand(Chained):
    """Keep records of `least` to `most` tokens, both included, counted as the ranker read them."""

    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        given = [value for value in (self.least, self.most) if value is not None]
        require(
            bool(given) and all(is_whole(value) and value >= 0 for value in given) and given == sorted(given),
            f"LengthBand needs whole numbers least <= most, at least one of them; got {self.least!r} and {self.most!r}",
        )

    def bounds(self) -> tuple[Any, float, float]:
        """Bound the tokens."""
        return "tokens of a record", self.least or 0, math.inf if self.most is None else self.most

    def select(self, rows: Scored) -> Selection:
        """Keep what lies in the band."""
        tokens = rows.tokens()
        keep = rows.eligible.copy()
        if self.least is not None:
            keep &= tokens >= self.least
        if self.most is not None:
            keep &= tokens <= self.most
        return selection(self, rows, keep)

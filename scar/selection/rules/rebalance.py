"""Rebalance: a long tail of groups gets more than its share. Numpy only."""

from dataclasses import dataclass

import numpy as np

from scar.selection.fuse import By
from scar.selection.rules.budget import Budget
from scar.selection.rules.rule import (
    Chained,
    Outcome,
    Selection,
    best_first,
    is_number,
    is_whole,
    require,
    selection,
)
from scar.selection.rules.shares import amounts, told, within_shares
from scar.selection.scored import Scored


@dataclass(frozen=True)
class Rebalance(Chained):
    """Share a budget among the values of a carried column in proportion to size ** temperature; the best of each.

    Temperature 1 keeps the proportions of what is left, 0 gives every group the same. Sizes, shares and `cap`, the
    most that one group may have, are in the budget's unit: records, or tokens. What a group cannot fill goes to the
    others; rows without a value are one group. Rows that must stay count in their group's share, and may exceed a cap.
    """

    column: str
    k: int | None = None
    tokens: int | None = None
    temperature: float = 0.5
    cap: int | None = None
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the budget, the temperature and the cap."""
        Budget.of("Rebalance", self.k, self.tokens)
        require(
            is_number(self.temperature) and 0 <= self.temperature <= 1,
            f"Rebalance needs a temperature from 0 to 1, got {self.temperature!r}",
        )
        require(
            self.cap is None or (is_whole(self.cap) and self.cap >= 1),
            f"Rebalance needs a whole cap of at least 1, got {self.cap!r}",
        )

    def select(self, rows: Scored) -> Selection:
        """Give groups their shares, and each share to the best records of its group."""
        budget = Budget.of("Rebalance", self.k, self.tokens)
        groups, names = rows.groups(self.column), rows.group_names(self.column)
        weights = amounts(rows, budget, groups, len(names)).astype(np.float64) ** self.temperature
        order = best_first(rows.finite(self.by), rows.eligible)
        keep = within_shares(rows, budget, groups, weights, order, self.cap)
        there = int(np.unique(groups[rows.eligible]).size)
        facts = {"groups": there, "largest": told(names, groups, rows.eligible, keep)}
        return selection(self, rows, Outcome(keep, facts=facts), self.by)

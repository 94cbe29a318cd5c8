"""Honest twins of a selection: rows at random, and the longest. Whatever is not better than both has found nothing."""

from dataclasses import dataclass

import numpy as np

from scar.selection.rules.budget import Budget, within
from scar.selection.rules.rule import Chained, Outcome, Selection, is_seed, require, selection
from scar.selection.scored import Scored


@dataclass(frozen=True)
class Random(Chained):
    """Keep records at random, without replacement. Under one seed a smaller k keeps a part of a larger one's."""

    k: int | None = None
    tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the budget and the seed."""
        Budget.of("Random", self.k, self.tokens)
        require(is_seed(self.seed), f"Random needs a seed from 0 to 2**32 - 1, got {self.seed!r}")

    def select(self, rows: Scored) -> Selection:
        """Shuffle all records, eligible or not, so that a set-aside row does not change the others' places."""
        order = np.random.default_rng(self.seed).permutation(len(rows))
        order = order[rows.eligible[order]]
        keep = within(rows, Budget.of("Random", self.k, self.tokens), order)
        return selection(self, rows, Outcome(keep, facts={"seed": self.seed}))


@dataclass(frozen=True)
class Longest(Chained):
    """Keep the longest records, by their tokens as the ranker read them: what is cut off does not count."""

    k: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        """Check the budget."""
        Budget.of("Longest", self.k, self.tokens)

    def select(self, rows: Scored) -> Selection:
        """Keep the longest; the earlier record wins a tie."""
        eligible = np.flatnonzero(rows.eligible)
        order = eligible[np.argsort(-rows.tokens()[eligible], kind="stable")]
        return selection(self, rows, within(rows, Budget.of("Longest", self.k, self.tokens), order))

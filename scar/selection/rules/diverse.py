"""Diverse: score first, then whatever is not near what was accepted (the filter of DEITA). Numpy only."""

from dataclasses import dataclass

import numpy as np

from scar.selection.diversity.kept import Flat
from scar.selection.diversity.vectors import Places, Vectors
from scar.selection.diversity.walk import Near, Walk
from scar.selection.fuse import By
from scar.selection.rules.budget import Budget
from scar.selection.rules.rule import (
    NOBODY,
    Chained,
    Needs,
    Outcome,
    Selection,
    best_first,
    is_number,
    require,
    selection,
)
from scar.selection.scored import Scored

_ROOM = 1 << 14
"""Accepted rows that there is room for at first, at most."""


@dataclass(frozen=True)
class Diverse(Chained):
    """Walk best first, and accept a record when no accepted one has a cosine above `tau`, until the budget is spent.

    Cosines are compared at six decimals. A record that was itself refused is in nobody's way; rows that must stay are
    accepted first. Memory holds the accepted rows alone.
    """

    k: int | None = None
    tokens: int | None = None
    tau: float = 0.9
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the budget and tau."""
        Budget.of("Diverse", self.k, self.tokens)
        require(
            is_number(self.tau) and -1 <= self.tau <= 1,
            f"Diverse needs a cosine tau from -1 to 1, got {self.tau!r}",
        )

    def needs(self) -> Needs:
        """Read embeddings."""
        return Needs(embeddings=True)

    def select(self, rows: Scored) -> Selection:
        """Walk the records."""
        purse = Budget.of("Diverse", self.k, self.tokens).purse(rows)
        order = must_first(rows, best_first(rows.finite(self.by), rows.eligible))
        vectors = Vectors(rows.embeddings(), order)
        kept = Flat(vectors.dimensions, room=min(_ROOM, len(order), purse.left))
        walk = Walk(
            vectors,
            Near(self.tau),
            kept,
            take=lambda place: purse.take(int(order[place])),
            full=lambda: purse.full,
        ).go(np.arange(len(order)), free=int((rows.must & rows.eligible).sum()))
        facts = {"refused": len(walk.crowded), "walked": _walked(walk)}
        outcome = Outcome(purse.keep(), crowded(len(rows), order, walk), facts)
        return selection(self, rows, outcome, self.by)


def must_first(rows: Scored, order: Places) -> Places:
    """Put what must stay before all others."""
    must = rows.must[order]
    return np.concatenate([order[must], order[~must]])


def crowded(total: int, records: Places, walk: Walk) -> Places:
    """Give for every record the one that was in its way on a walk, or NOBODY."""
    by = np.full(total, NOBODY, dtype=np.int64)
    at = np.fromiter(walk.crowded, dtype=np.int64, count=len(walk.crowded))
    by[records[at]] = records[np.fromiter(walk.crowded.values(), dtype=np.int64, count=len(at))]
    return by


def _walked(walk: Walk) -> int:
    return 1 + max([-1, *walk.accepted[-1:], *walk.crowded])

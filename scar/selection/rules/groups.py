"""Rules of groups: so many of each value of a carried column. Numpy only."""

from dataclasses import dataclass

import numpy as np

from scar.selection.fuse import By
from scar.selection.rules.rule import Chained, Selection, is_whole, require, selection
from scar.selection.scored import Scored


@dataclass(frozen=True)
class PerGroup(Chained):
    """Keep the `n` highest scores of each value of a carried column; rows without a value are one group."""

    column: str
    n: int
    by: By | None = None

    def __post_init__(self) -> None:
        """Check n."""
        require(is_whole(self.n) and self.n >= 1, f"PerGroup needs a whole n of at least 1, got {self.n!r}")

    def select(self, rows: Scored) -> Selection:
        """Keep the n best of each group."""
        scores, groups = rows.finite(self.by), rows.groups(self.column)
        candidates = np.flatnonzero(rows.eligible)
        order = candidates[np.lexsort((-scores[candidates], ~rows.must[candidates], groups[candidates]))]
        starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        keep = np.zeros(len(rows), dtype=bool)
        keep[order[rank < self.n]] = True
        return selection(self, rows, keep, self.by)

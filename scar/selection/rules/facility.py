"""FacilityLocation: the records to which all others are most similar. Numpy only."""

from dataclasses import dataclass

import numpy as np

from scar.selection.diversity.exact import points_of
from scar.selection.diversity.facility import Facility, locate
from scar.selection.fuse import By
from scar.selection.rules.budget import Budget
from scar.selection.rules.quantize import check_size
from scar.selection.rules.rule import (
    NOBODY,
    Chained,
    Needs,
    Outcome,
    Selection,
    best_first,
    selection,
)
from scar.selection.scored import Scored

MOST = 50_000
"""Records that it takes: every pair is compared."""


@dataclass(frozen=True)
class FacilityLocation(Chained):
    """Choose records greedily so that all are similar to a chosen one: the sum of max(0, cosine to the nearest).

    At least 1 - 1/e of the best sum that so many records can reach. Score decides only between equals: thin the pool by
    score first. A token budget takes what adds most and fits, whatever it costs. No neighbour is left out: time grows
    with the square of the records, of which it takes at most 50,000, 4 bytes x dimensions each in memory. 20,000 of
    384 dimensions take 6 s before the first choice, and less than 0.1 s for each, on one core.
    """

    k: int | None = None
    tokens: int | None = None
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the budget."""
        Budget.of("FacilityLocation", self.k, self.tokens)

    def needs(self) -> Needs:
        """Read embeddings."""
        return Needs(embeddings=True)

    def select(self, rows: Scored) -> Selection:
        """Choose within the budget. Raises InputError for more records than it takes."""
        records = best_first(rows.finite(self.by), rows.eligible)
        check_size("FacilityLocation", len(records), rows, MOST)
        purse = Budget.of("FacilityLocation", self.k, self.tokens).purse(rows)
        facility = Facility(points_of(rows.embeddings(), records))
        for place in np.flatnonzero(rows.must[records]).tolist():
            facility.choose(place)
            purse.take(int(records[place]))
        found = locate(facility, lambda place: purse.fits(int(records[place])))
        while not purse.full and (place := next(found, -1)) >= 0:
            purse.take(int(records[place]))
        crowded_by = np.full(len(rows), NOBODY, dtype=np.int64)
        served = facility.server >= 0
        crowded_by[records[served]] = records[facility.server[served]]
        keep = purse.keep()
        crowded_by[keep] = NOBODY
        facts = {"mean_similarity": facility.value / max(1, len(records))}
        return selection(self, rows, Outcome(keep, crowded_by, facts), self.by)

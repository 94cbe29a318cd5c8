"""Rows that must stay, whatever later rules say. Knows no files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scar.errors import InputError
from scar.selection.rules.rule import Chained, Needs, Outcome, Selection, require, selection
from scar.selection.scored import Scored

_OWN = ("id", "row", "part", "file", "line")
"""Columns that every run has."""


@dataclass(frozen=True)
class MustKeep(Chained):
    """Drop nothing, and keep later rules from dropping the rows whose `column` has one of these values.

    They count in the budgets of the rules after it. Every value must be found among the records that are left: a row
    that was set aside or dropped before is an error, not a row that is missing without a word.
    """

    values: Sequence[str]
    column: str = "id"

    def __post_init__(self) -> None:
        """Check the values."""
        require(
            isinstance(self.values, Sequence) and not isinstance(self.values, str) and len(self.values) > 0,
            f"MustKeep needs a list of values, got {self.values!r}",
        )
        values = tuple(str(value) for value in self.values)
        require(len(set(values)) == len(values), "MustKeep names a value twice")
        object.__setattr__(self, "values", values)

    def needs(self) -> Needs:
        """Read its column, which is carried unless every run has it."""
        return Needs(columns=() if self.column in _OWN else (self.column,))

    def select(self, rows: Scored) -> Selection:
        """Find the rows. Raises InputError where one is not there, or has no score."""
        values, column = pa.array(self.values), rows.load(self.column).cast(pa.string())
        found = np.asarray(pc.is_in(column, value_set=values).fill_null(False), dtype=bool)
        there = set(column.filter(pa.array(found & rows.eligible)).to_pylist())
        if missing := [value for value in self.values if value not in there]:
            gone = set(column.filter(pa.array(found)).to_pylist())
            why = "was set aside or dropped by a rule before" if missing[0] in gone else "is not in the pool"
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise InputError(f"MustKeep: {self.column} {missing[0]!r}{more} {why}")
        must = found & rows.eligible
        return selection(self, rows, Outcome(rows.eligible, facts={"records": int(must.sum())}, must=must))

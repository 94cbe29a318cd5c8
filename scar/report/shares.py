"""How the records spread over the values of a column, before and after a selection."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.report.facts import Chosen, Facts, Records

MOST_VALUES = 30
"""Values of a column that are shown; where it has more, the rest stand together in one line."""
MOST_COUNTED = 1000
"""Values of a column that are counted; one with more is none to tell groups by."""
FEWEST = 0.5
"""Share of the records that the values shown must have, where not all are."""
ALWAYS, RARE = 8, 0.005
"""Values that are shown in any case; others, where more than this share of the pool or of what was kept has them."""
FAMILY = "/"
"""What stands after the family of a value: of many values, their families are counted."""
LONGEST_VALUE = 80
"""Characters of a value that are shown."""
OURS = {"id", "reason", "row", "line"}


@dataclass(frozen=True)
class Share:
    """One value, and how many scored records have it, or what share of them, in the pool and of those kept."""

    value: str | None
    pool: float
    kept: float


@dataclass(frozen=True)
class Shares:
    """A column's values, the most frequent first."""

    column: str
    values: tuple[Share, ...]

    @property
    def pool(self) -> float:
        """Scored records."""
        return sum(each.pool for each in self.values)

    @property
    def kept(self) -> float:
        """Kept records."""
        return sum(each.kept for each in self.values)

    @property
    def moved(self) -> float:
        """Share of the kept records that stand with other values than in the pool: total variation, 0 to 1."""
        if not self.kept or not self.pool:
            return 0.0
        return sum(abs(e.kept / self.kept - e.pool / self.pool) for e in self.values) / 2


def text_columns(schema: pa.Schema) -> list[str]:
    """Name the columns of text by which records could be told apart: what was carried, the file and the part."""
    return [field.name for field in schema if _is_text(field.type) and field.name not in OURS]


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


def shares(facts: Facts, records: Records) -> tuple[list[Shares], list[str]]:
    """Give the shares of every column of few values, and the names of those that have too many."""
    found: list[Shares] = []
    many: list[str] = []
    for column in text_columns(facts.table.schema):
        values = _counted(facts, records, column)
        if values is None:
            many.append(column)
        elif column not in ("file", "part") or len(values) > 1:
            found.append(Shares(column, tuple(values)))
    return sorted(found, key=lambda each: each.column in ("file", "part")), many


SAME = {"lang": "language"}
"""What the audit calls a column that was carried."""


def audited(chosen: Chosen, carried: list[str]) -> list[Shares]:
    """Give the shares that the audit took of a sample, of columns that were not carried."""
    before, after = (chosen.audit.get(side, {}).get("groups", {}) for side in ("pool", "kept"))
    known = {SAME.get(name, name) for name in carried}
    found = []
    for column in before:
        values = few(_ordered(before[column], after.get(column, {})))
        if column not in known and values and len(values) > 1:
            found.append(Shares(column, tuple(values)))
    return found


def _counted(facts: Facts, records: Records, column: str) -> list[Share] | None:
    """Count a column piece by piece; None as soon as it has too many values."""
    pool: dict[str | None, int] = {}
    kept: dict[str | None, int] = {}
    for values, start in _pieces(facts, column):
        some = slice(start, start + len(values))
        _add(pool, values, records.scored[some])
        if len(pool) > MOST_COUNTED:
            return None
        _add(kept, values, records.scored[some] & records.kept[some])
    return few(_ordered(pool, kept))


def few(values: list[Share]) -> list[Share] | None:
    """Give few values for many: their families, and those that are rare as one. None where that would be most."""
    return joined(families(values) if len(values) > MOST_VALUES else values)


def families(values: list[Share]) -> list[Share]:
    """Join the values of one family: `flask/bard` and `flask/gpt4` to `flask`."""
    pool: dict[str | None, float] = {}
    kept: dict[str | None, float] = {}
    for each in values:
        family = each.value.partition(FAMILY)[0] if each.value else each.value
        pool[family] = pool.get(family, 0) + each.pool
        kept[family] = kept.get(family, 0) + each.kept
    return _ordered(pool, kept)


def _ordered(pool: Mapping[str | None, float], kept: Mapping[str | None, float]) -> list[Share]:
    order = sorted(pool, key=lambda value: (-pool[value], value is None, value or ""))
    return [Share(value, pool[value], kept.get(value, 0)) for value in order]


def joined(values: list[Share]) -> list[Share] | None:
    """Join the values that are rare, or too many, to one; None where that would be most of all."""
    records, of_kept = sum(each.pool for each in values), sum(each.kept for each in values)
    shown = [
        each
        for place, each in enumerate(values)
        if place < ALWAYS or each.pool > RARE * records or each.kept > RARE * of_kept
    ][: MOST_VALUES - 1]
    rest = [each for each in values if each not in shown]
    if len(rest) < 2:
        return values
    if sum(each.pool for each in shown) < FEWEST * records:
        return None
    others = Share(f"{len(rest):,} other values", sum(e.pool for e in rest), sum(e.kept for e in rest))
    return [*shown, others]


def _pieces(facts: Facts, column: str) -> Iterator[tuple[pa.Array, int]]:
    start = 0
    for table in facts.table.read([column]):
        yield pa.chunked_array(table.column(column).cast(pa.string())).combine_chunks(), start
        start += len(table)


def _add(counts: dict[str | None, int], values: pa.Array, mask: NDArray[np.bool_]) -> None:
    for each in values.filter(pa.array(mask)).value_counts():
        value = each["values"].as_py()
        counts[value] = counts.get(value, 0) + each["counts"].as_py()

"""A row as Python has it, a mapping or a record, and what is read of it. Knows no model."""

from collections.abc import Mapping
from typing import Any

from scar import formats
from scar.records import Address, Reason, Record, SetAside

RecordLike = Record | Mapping[str, Any]


def record_of(row: RecordLike, number: int) -> Record | SetAside:
    """Read a row of any known layout with one response; what cannot be read is set aside."""
    if isinstance(row, Record):
        return formats.check(row)
    address = Address(number, line=number + 1)
    if not isinstance(row, Mapping):
        return SetAside(
            address, Reason.NOT_AN_OBJECT, f"row {number} is of type {type(row).__name__}, not a mapping"
        )
    items = list(formats.expand(row, formats.layout_of(row) or formats.Layout("plain"), address))
    if len(items) > 1:
        names = ", ".join(str(item.part) for item in items)
        return SetAside(
            address, Reason.WRONG_LAYOUT, f"the row has several responses ({names}): give one a row"
        )
    return items[0]

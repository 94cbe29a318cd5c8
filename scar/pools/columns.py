"""Rows out of batches of columns, whatever file they stand in. A batch of rows is in memory at a time."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from scar.errors import InputError
from scar.pools import limits
from scar.pools.rows import ArrowRow
from scar.pools.weight import weigh
from scar.records import Address, Reason, SetAside

BATCH_ROWS = 1024
_AS_TEXT = (pa.types.is_temporal, pa.types.is_decimal)
"""Values that JSON has no word for: read as their text, exactly."""


def arrow_rows(
    batches: Iterator[pa.RecordBatch], name: str, first_row: int, first_line: int = 1
) -> Iterator[ArrowRow]:
    """Yield the rows of batches; a row whose values cannot be read is one with a reason."""
    row, line = first_row, first_line - first_row
    for batch in batches:
        addresses = [Address(row + n, name, line + row + n) for n in range(batch.num_rows)]
        for place, (address, fields) in enumerate(zip(addresses, _values(batch, addresses), strict=True)):
            yield ArrowRow(address, fields, batch, place)
        row += batch.num_rows


def _spelled(batch: pa.RecordBatch) -> pa.RecordBatch:
    for number, field in enumerate(batch.schema):
        if any(test(field.type) for test in _AS_TEXT) and not pa.types.is_interval(field.type):
            batch = batch.set_column(number, field.name, batch.column(number).cast(pa.string()))
    return batch


def _values(batch: pa.RecordBatch, addresses: list[Address]) -> Iterator[dict[str, Any] | SetAside]:
    """Yield the rows' values, of as many rows at a time as can be held."""
    rows, weight = batch.num_rows, weigh(batch)
    if rows > 1 and weight > limits.LONGEST:
        half = rows // 2
        yield from _values(batch.slice(0, half), addresses[:half])
        yield from _values(batch.slice(half), addresses[half:])
        return
    if weight > limits.LONGEST:
        yield limits.too_long(addresses[0])
        return
    spelled = _spelled(batch)
    try:
        yield from spelled.to_pylist()
    except (ValueError, OverflowError):
        for n, address in enumerate(addresses):
            yield _value(spelled.slice(n, 1), address)


def _value(one: pa.RecordBatch, address: Address) -> dict[str, Any] | SetAside:
    try:
        return dict(one.to_pylist()[0])
    except UnicodeDecodeError as error:
        return SetAside(address, Reason.INVALID_UTF8, f"byte {error.start} of a text is not UTF-8")
    except (ValueError, OverflowError) as error:
        return SetAside(address, Reason.INVALID_ROW, f"a value cannot be read: {error}")


def check_schema(schema: pa.Schema, place: str) -> pa.Schema:
    """Refuse a table in which a name does not tell a column."""
    twice = [name for name, times in Counter(schema.names).items() if times > 1]
    if twice:
        raise InputError(f"{place}: two columns are named {twice[0]!r}; rename one")
    return schema


def behind(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Leave out the first rows."""
    for batch in batches:
        left, rows = batch.slice(min(rows, batch.num_rows)), max(0, rows - batch.num_rows)
        if left.num_rows:
            yield left

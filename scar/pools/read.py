"""Read pools: rows of any type of file and layout -> records, one chunk in memory at a time. Knows no model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scar import formats, original
from scar.errors import InputError
from scar.pools.array import JsonArray
from scar.pools.arrow import ArrowFile
from scar.pools.cells import Csv
from scar.pools.hub import HubRows
from scar.pools.limits import LONGEST
from scar.pools.lines import JsonLines
from scar.pools.parquet import Parquet
from scar.pools.places import Place, PoolFile, find
from scar.pools.rows import JsonRow, Row
from scar.pools.source import Source
from scar.records import NOWHERE, Judged, Reason, Record, SetAside, Tiers
from scar.settings import Reading

PEEK = 200
"""Rows that detection looks at before it gives up."""
_EXPECTED = {
    "jsonl": "; .jsonl is one object a line in UTF-8 (an array goes into .json)",
    "json": "; .json is an array of objects in UTF-8",
    "csv": "; .csv is in UTF-8, with commas",
}
"""What a file of which nothing can be read should have been."""
_SOURCES: dict[str, Callable[[PoolFile], Source]] = {
    "jsonl": JsonLines,
    "json": JsonArray,
    "csv": Csv,
    "parquet": Parquet,
    "arrow": ArrowFile,
    "hub": HubRows,
}


def source(file: PoolFile) -> Source:
    """Give the reader of a file's type."""
    return _SOURCES[file.kind](file)


def rows_of(files: Sequence[PoolFile]) -> Iterator[Row]:
    """Yield every row of a pool in order, numbered through."""
    number = 0
    for file in files:
        for row in source(file).rows(number):
            number = row.address.row + 1
            yield row


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """What became of one row: its records and set-aside parts, in order, and the columns to carry."""

    items: tuple[Record | SetAside, ...]
    carried: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows of a file that can be read, and their lines: what its layout is told by."""

    rows: list[dict[str, Any]]
    lines: list[int]
    whole: bool = False
    """Whether these are all rows that the file has."""

    @classmethod
    def of(cls, file: PoolFile) -> "FirstRows":
        """Read them. Raises InputError where the file has rows, and none of them can be read."""
        first = cls([], [])
        held, ended = 0, True
        bad: SetAside | None = None
        for row in source(file).rows():
            fields = row.decode()
            if isinstance(fields, SetAside):
                bad = bad or fields
                if bad is fields and not first.rows and isinstance(row, JsonRow) and row.raw.strip() == b"[":
                    break  # an array, of which the last element alone could be read
                continue
            first.rows.append(fields)
            first.lines.append(row.address.line)
            held += sum(len(value) for value in fields.values() if isinstance(value, str))
            if len(first.rows) == PEEK or held > LONGEST:
                ended = False
                break
        if bad and not first.rows:
            remedy = _EXPECTED.get(file.kind, "")
            raise InputError(
                f"{file.place}: no row can be read; line {bad.address.line}: {bad.reason}: {bad.detail}{remedy}"
            )
        return replace(first, whole=ended)

    def layout(self, file: PoolFile, reading: Reading) -> formats.Layout:
        """Tell the layout, or take the one that is forced."""
        return formats.detect(self.rows, reading.format, reading.column_map, file.place, self.lines)


class RowReader:
    """Turns the rows of a pool into records; remembers each file's layout."""

    def __init__(self, files: Sequence[PoolFile], reading: Reading, carry: Sequence[str] = ()) -> None:
        self.reading = reading
        self.carry = tuple(carry)
        self.layouts: dict[str, formats.Layout] = {}
        self.columns: dict[str, list[str]] = {}
        """Columns of each file, as its first rows have them."""
        parts: set[str | None] = set()
        whole = told = True
        for file in files:
            first = FirstRows.of(file)
            layout = self.layouts[file.name] = first.layout(file, reading)
            self.columns[file.name] = list(dict.fromkeys(key for row in first.rows for key in row))
            if layout.several:
                parts |= {item.part for row in first.rows for item in formats.expand(row, layout, NOWHERE)}
            # In a longer file a column may come later, or a tier.
            whole, told = whole and first.whole, told and (first.whole or layout.name != "tiers")
        if whole:
            self._check_carry()
        if told:
            self._check_responses({part for part in parts if part is not None})

    def _check_carry(self) -> None:
        present = {column for columns in self.columns.values() for column in columns}
        for column in self.carry:
            if column not in present:
                raise InputError(f"no column {column!r} to carry; there are: {formats.listed(present)}")

    def _check_responses(self, parts: set[str]) -> None:
        wanted = self.reading.responses
        if wanted == "all" or wanted in parts:
            return
        if not any(layout.several for layout in self.layouts.values()):
            found = ", ".join(sorted({layout.name for layout in self.layouts.values()}))
            raise InputError(f"--responses {wanted}: the rows are {found}, which have one response each")
        if parts:
            raise InputError(
                f"--responses {wanted}: no response has that name; there are: {formats.listed(parts)}"
            )

    def parse(self, row: Row) -> ParsedRow:
        """Read one row; what cannot be read is a value. Raises InputError for it only under `strict`."""
        fields = row.decode()
        if isinstance(fields, SetAside):
            items: tuple[Record | SetAside, ...] = (fields,)
            carried: tuple[str | None, ...] = (None,) * len(self.carry)
        else:
            items = self._items(fields, row)
            carried = tuple(formats.carried(fields, column) for column in self.carry)
        if self.reading.strict:
            refuse_first(items)
        return ParsedRow(items, carried)

    def _items(self, fields: dict[str, Any], row: Row) -> tuple[Record | SetAside, ...]:
        wanted, layout = self.reading.responses, self.layouts[row.address.file]
        expanded = list(formats.expand(fields, layout, row.address, self.reading.turns))
        items = tuple(item for item in expanded if wanted == "all" or item.part in (None, wanted))
        if items:
            return items
        detail = f"no response is named {wanted!r}"
        return (SetAside(row.address, Reason.MISSING_RESPONSE, detail, expanded[0].id),)


def refuse_first(items: Iterable[object]) -> None:
    """Raise InputError for the first row that was set aside."""
    for item in items:
        if isinstance(item, SetAside):
            where = f"{item.address.file}, line {item.address.line}"
            raise InputError(f"{where}: {item.reason}: {item.detail} (--strict stops at the first such row)")


def read_pool(where: Place | Sequence[Place], reading: Reading | None = None) -> Iterator[Record | SetAside]:
    """Yield every record of a pool in order, and every row that cannot be one, with its reason."""
    files = find(where)
    reader = RowReader(files, reading or Reading())
    for row in rows_of(files):
        yield from reader.parse(row).items


def read_judged(
    where: Place | Sequence[Place], reading: Reading | None = None, *, wanted: str = "auto"
) -> Iterator[Judged | SetAside]:
    """Yield every row with its judgement: the training data of a quality ranker.

    `wanted` is labels, graded, pairs, or auto: whatever judgement a row has. Raises InputError for rows by tier, and
    for a label or score that is none.
    """
    reading = reading or Reading()
    files = find(where)
    layouts = {file.name: FirstRows.of(file).layout(file, reading) for file in files}
    for name, layout in layouts.items():
        if layout.name == "tiers":
            raise InputError(
                f"{name}: the rows are tiers; a quality ranker needs a label or a score of one response, or a chosen "
                "and a rejected one (a style ranker is trained on tiers)"
            )
    for row in rows_of(files):
        fields = row.decode()
        if isinstance(fields, SetAside):
            item: Judged | SetAside = fields
        else:
            item = formats.judged(fields, layouts[row.address.file], row.address, wanted=wanted)
        if reading.strict:
            refuse_first([item])
        yield item


def read_tiers(where: Place | Sequence[Place], reading: Reading | None = None) -> Iterator[Tiers | SetAside]:
    """Yield every row of a tiers file whole: the training data of a style ranker."""
    reading = reading or Reading(format="tiers")
    if isinstance(where, str | Path) and original.is_original(Path(where)):
        yield from _read_original(Path(where), reading)
        return
    files = find(where)
    layouts = {file.name: FirstRows.of(file).layout(file, reading) for file in files}
    for name, layout in layouts.items():
        if layout.name != "tiers":
            raise InputError(f"{name}: the rows are {layout.name}; training and eval need responses by tier")
    for row in rows_of(files):
        fields = row.decode()
        if isinstance(fields, SetAside):
            item: Tiers | SetAside = fields
        else:
            item = formats.tiers(fields, layouts[row.address.file], row.address)
        if reading.strict:
            refuse_first([item])
        yield item


def _read_original(folder: Path, reading: Reading) -> Iterator[Tiers | SetAside]:
    if reading.column_map:
        raise InputError(f"{folder}: --columns {reading.columns}: the original's lists have fixed names")
    for item in original.read_original(folder):
        if reading.strict:
            refuse_first([item])
        yield item

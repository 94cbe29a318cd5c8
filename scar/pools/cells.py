"""A csv file: a header, then rows whose values are text and stay text."""

import csv
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

import pyarrow as pa

from scar.errors import InputError
from scar.pools import limits
from scar.pools.limits import pass_line, too_long
from scar.pools.packed import begun
from scar.pools.pieces import Mark, Most, Piece, pieces
from scar.pools.places import PoolFile
from scar.pools.rows import BadRow, TextRow
from scar.pools.source import BOM, damage
from scar.pools.start import BEGIN, Start
from scar.records import Address, Reason, SetAside


class _Cells(NamedTuple):
    offset: int
    line: int
    end: int
    values: list[str] | tuple[Reason, str]


@dataclass(frozen=True)
class Csv:
    """The rows of a .csv file (RFC 4180, comma, UTF-8); a cell may hold line breaks, a blank line is no row."""

    file: PoolFile

    def schema(self) -> pa.Schema:
        """Give the columns; each is text."""
        with damage(self.file.place), self.file.open() as stream:
            return pa.schema([(name, pa.string()) for name in self._header(next(_cells(stream), None))])

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[TextRow | BadRow]:
        """Yield the rows; `line` is where a row starts. The header is read wherever they begin."""
        with damage(self.file.place), self.file.open() as stream:
            cells = _cells(stream)
            header = self._header(next(cells, None))
            if not start.offset:
                yield from self._rows(header, cells, first_row)
                return
        with damage(self.file.place), self.file.open(start) as stream:
            yield from self._rows(header, _cells(stream, start), first_row)

    def _rows(
        self, header: list[str], cells: Iterator[_Cells], first_row: int
    ) -> Generator[TextRow | BadRow]:
        for row, each in enumerate(cells, start=first_row):
            address = Address(row, self.file.name, each.line)
            fields = _fields(header, each.values, address)
            yield BadRow(fields) if isinstance(fields, SetAside) else TextRow(address, fields)

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces."""
        return pieces(self.marks(), most)

    def marks(self) -> Iterator[Mark]:
        """Yield where each row stands."""
        with damage(self.file.place), self.file.open() as stream:
            cells = _cells(stream)
            self._header(next(cells, None))
            for each in cells:
                yield Mark(Start(each.offset, each.line, *begun(stream, each.offset)), each.end - each.offset)

    def _header(self, cells: _Cells | None) -> list[str]:
        if cells is None:
            return []
        names = cells.values
        if isinstance(names, tuple):
            raise InputError(f"{self.file.place}: the header cannot be read: {names[1]}")
        other = next((mark for mark in ";\t|" if mark in names[0]), None) if len(names) == 1 else None
        if other:
            raise InputError(
                f"{self.file.place}: the header is one column, {names[0][:80]!r}: "
                f"cells are parted by commas here, not by {other!r}; write it again with commas"
            )
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise InputError(f"{self.file.place}: the header names {twice[0]!r} twice; rename one column")
        return names


def _fields(
    header: list[str], values: list[str] | tuple[Reason, str], address: Address
) -> dict[str, str] | SetAside:
    if isinstance(values, tuple):
        return too_long(address) if values[0] is Reason.TOO_LONG else SetAside(address, *values)
    if len(values) != len(header):
        return SetAside(
            address, Reason.INVALID_ROW, f"{len(values)} cells, where the header has {len(header)} columns"
        )
    return dict(zip(header, values, strict=True))


class _TooLong(Exception):
    """The row has more bytes than are held."""


class _Feed:
    """Hands lines to the csv reader, and knows where they stand."""

    def __init__(self, stream: IO[bytes], start: Start) -> None:
        self._stream = stream
        self.offset = self.row = start.offset
        self.line = start.line - 1
        self.bad: int | None = None
        """Byte of the first line since it was last None that is not UTF-8."""

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(limits.LONGEST + 1)
        if not raw:
            raise StopIteration
        text = raw.removeprefix(BOM) if self.offset == 0 else raw
        self.offset += len(raw)
        self.line += 1
        if self.offset - self.row > limits.LONGEST:
            self.offset += 0 if raw.endswith(b"\n") else pass_line(self._stream)[0]
            raise _TooLong
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            self.bad = error.start if self.bad is None else self.bad
            return text.decode("utf-8", "replace")


def _cells(stream: IO[bytes], start: Start = BEGIN) -> Iterator[_Cells]:
    """Yield the cells of every row, or why they cannot be read; at the file's start the header is the first."""
    csv.field_size_limit(limits.LONGEST)
    feed = _Feed(stream, start)
    reader = csv.reader(feed, strict=True)
    while True:
        offset, line, feed.bad = feed.offset, feed.line + 1, None
        feed.row = offset
        try:
            values: list[str] | tuple[Reason, str] = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lone = "a carriage return alone: lines end in LF or CRLF"
            values = (Reason.INVALID_ROW, f"not csv: {lone if 'new-line' in str(error) else error}")
        except _TooLong:
            values, feed.bad = (Reason.TOO_LONG, "it is longer than is held"), None
        if feed.bad is not None:
            values = (Reason.INVALID_UTF8, f"byte {feed.bad} of the line is not UTF-8")
        if values and not (len(values) == 1 and not values[0].strip()):
            yield _Cells(offset, line, feed.offset, values)

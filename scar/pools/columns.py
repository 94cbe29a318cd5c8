"""Columnar files: Parquet, Arrow IPC and saved Hugging Face data sets. A batch of rows is in memory at a time."""

from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.pools import limits
from scar.pools.pages import HEAVY, MOST_ROWS, Group, groups
from scar.pools.pieces import Mark, Most, Piece, pieces
from scar.pools.places import Local, PoolFile
from scar.pools.repeated import refuse_heavy, repeated
from scar.pools.rows import ArrowRow
from scar.pools.source import damage
from scar.pools.start import BEGIN, Start
from scar.pools.weight import weigh
from scar.records import Address, Reason, SetAside

BATCH_ROWS = 1024
WEIGHT = 256 << 20
"""Bytes that the rows of a batch may come to where a value that is written once stands in all of them."""
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


@dataclass(frozen=True)
class Parquet:
    """The rows of a .parquet file."""

    file: PoolFile

    def schema(self) -> pa.Schema:
        """Give the columns and their types."""
        with damage(self.file.place), self.file.open() as stream, self._open(stream) as table:
            return check_schema(table.schema_arrow, self.file.place)

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[ArrowRow]:
        """Yield the rows; `line` is the number of the row in the file, from 1."""
        with damage(self.file.place), self.file.open() as stream, self._open(stream) as table:
            check_schema(table.schema_arrow, self.file.place)
            batches = behind(self._batches(stream, table, start.group), start.offset - start.group_at)
            yield from arrow_rows(batches, self.file.name, first_row, start.line)

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces."""
        return pieces(self.marks(), most)

    def marks(self) -> Iterator[Mark]:
        """Yield where the rows of each group stand, from the footer and the page headers alone."""
        with damage(self.file.place), self.file.open() as stream, self._open(stream) as table:
            row = 0
            for number, group, heavy in self._groups(stream, table):
                # A row of a usual file weighs its share; where a dictionary is a bomb, all of it.
                share = group.size // max(1, group.rows)
                size = max(share, sum(each for each in heavy if each > HEAVY))
                yield Mark(Start(row, row + 1, number, row), size, group.rows)
                row += group.rows

    def _batches(self, stream: IO[bytes], table: pq.ParquetFile, first: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows from a group on, few at a time where the same heavy value may stand in all of them."""
        for number, group, heavy in self._groups(stream, table, first):
            rows = min(BATCH_ROWS, max(1, WEIGHT // max(1, sum(heavy))))
            found = 0
            for batch in self._weighed(table, number, rows, repeated(table, group, heavy, stream)):
                found += batch.num_rows
                yield batch
            if found != group.rows:
                raise pa.ArrowInvalid(f"row group {number} has {found} rows, not {group.rows}")

    def _weighed(
        self, table: pq.ParquetFile, number: int, rows: int, lists: list[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a group, those with lists of texts once these are known to be no bomb."""
        if not lists:
            yield from table.iter_batches(rows, [number], use_threads=False)
            return
        with self.file.open() as stream, self._open(stream, lists) as once:
            size = stream.seek(0, 2)
            packed = once.iter_batches(rows, [number], columns=lists, use_threads=False)
            batches = table.iter_batches(rows, [number], use_threads=False)
            yield from refuse_heavy(batches, packed, self.file.place, size)

    def _groups(
        self, stream: IO[bytes], table: pq.ParquetFile, first: int = 0
    ) -> Iterator[tuple[int, Group, list[int]]]:
        """Yield number, group, and by column what one value may weigh. Raises for what only a forged file has."""
        found, leaves = groups(stream), len(table.schema)
        if len(found) != table.metadata.num_row_groups or any(len(each.columns) != leaves for each in found):
            raise pa.ArrowInvalid("the footer can be read in two ways")
        for number, group in enumerate(found[first:], start=first):
            yield (
                number,
                group,
                group.heaviest(stream, self.file.place, whole=isinstance(self.file.store, Local)),
            )

    def _open(self, stream: IO[bytes], once: list[str] | None = None) -> pq.ParquetFile:
        # Buffered, not read ahead: a column of a large row group is never in memory whole.
        # Nor by threads of Arrow: they can outlive the interpreter that the stream calls, and abort the process.
        return pq.ParquetFile(stream, read_dictionary=once, buffer_size=1 << 20, pre_buffer=False)


@dataclass(frozen=True)
class ArrowFile:
    """The rows of an .arrow file: IPC file or stream, as Hugging Face `datasets` saves them."""

    file: PoolFile

    def schema(self) -> pa.Schema:
        """Give the columns and their types."""
        with damage(self.file.place), self.file.open() as stream:
            return check_schema(_reader(stream).schema, self.file.place)

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[ArrowRow]:
        """Yield the rows; `line` is the number of the row in the file, from 1."""
        with damage(self.file.place):
            batches = (batch for _, batch in self._batches(start.group))
            skipped = behind(batches, start.offset - start.group_at)
            yield from arrow_rows(skipped, self.file.name, first_row, start.line)

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces."""
        return pieces(self.marks(), most)

    def marks(self) -> Iterator[Mark]:
        """Yield where the rows of each batch stand."""
        row, group, at = 0, 0, 0
        for number, batch in self._batches():
            if number != group:
                group, at = number, row
            size = batch.nbytes // max(1, batch.num_rows)
            yield Mark(Start(row, row + 1, group, at), size, batch.num_rows)
            row += batch.num_rows

    def _batches(self, first: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield slices of the record batches from number `first` on, with the number; of a stream it is always 0."""
        with damage(self.file.place), self.file.open() as stream:
            size = stream.seek(0, 2)
            reader = _reader(stream)
            check_schema(reader.schema, self.file.place)
            for number, batch in _each(reader, first):
                if batch.num_rows > MOST_ROWS * size:
                    raise pa.ArrowInvalid(f"a batch promises {batch.num_rows} rows in a file of {size} bytes")
                _sound(batch)
                # A saved data set may have batches of any size.
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield number, batch.slice(start, BATCH_ROWS)


def _reader(stream: IO[bytes]) -> Any:
    stream.seek(0)
    magic = stream.read(6)
    stream.seek(0)
    return pa.ipc.open_file(stream) if magic == b"ARROW1" else pa.ipc.open_stream(stream)


def behind(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Leave out the first rows."""
    for batch in batches:
        left, rows = batch.slice(min(rows, batch.num_rows)), max(0, rows - batch.num_rows)
        if left.num_rows:
            yield left


def _sound(batch: pa.RecordBatch) -> None:
    """Refuse a batch whose offsets lead out of it: nothing else checks them, and reading on would crash."""
    for column in batch.columns:
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            if "UTF8" not in str(error):  # a text that is not UTF-8 is its own row's fault alone
                raise


def _each(reader: Any, first: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for number in range(first, reader.num_record_batches):
            yield number, reader.get_batch(number)
    else:
        yield from ((0, batch) for batch in reader)

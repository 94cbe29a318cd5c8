"""Parquet files: row groups, a few rows of them in memory at a time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from scar.pools.columns import BATCH_ROWS, arrow_rows, behind, check_schema
from scar.pools.pages import HEAVY, Group, groups
from scar.pools.pieces import Mark, Most, Piece, pieces
from scar.pools.places import Local, PoolFile
from scar.pools.repeated import refuse_heavy, repeated
from scar.pools.rows import ArrowRow
from scar.pools.source import damage
from scar.pools.start import BEGIN, Start

WEIGHT = 256 << 20
"""Bytes that the rows of a batch may come to where a value that is written once stands in all of them."""


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

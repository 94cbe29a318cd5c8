"""Arrow IPC files and streams, as Hugging Face `datasets` saves them. A batch is in memory at a time."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from scar.pools import limits
from scar.pools.columns import BATCH_ROWS, arrow_rows, behind, check_schema
from scar.pools.messages import MAGIC, unpacked
from scar.pools.pages import MOST_ROWS
from scar.pools.pieces import Mark, Most, Piece, pieces
from scar.pools.places import PoolFile
from scar.pools.rows import ArrowRow
from scar.pools.source import damage
from scar.pools.start import BEGIN, Start


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
        with damage(self.file.place), self.file.open() as stream, self.file.open() as beside:
            size = stream.seek(0, 2)
            reader = _reader(stream)
            check_schema(reader.schema, self.file.place)
            for number, batch in _held(_each(reader, first), unpacked(beside, first), size):
                if batch.num_rows > MOST_ROWS * size:
                    raise pa.ArrowInvalid(f"a batch promises {batch.num_rows} rows in a file of {size} bytes")
                _sound(batch)
                # A saved data set may have batches of any size.
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield number, batch.slice(start, BATCH_ROWS)


def _reader(stream: IO[bytes]) -> Any:
    stream.seek(0)
    magic = stream.read(len(MAGIC))
    stream.seek(0)
    return pa.ipc.open_file(stream) if magic == MAGIC else pa.ipc.open_stream(stream)


def _held(
    batches: Iterator[tuple[int, pa.RecordBatch]], sizes: Iterator[int], size: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield batches, each once it is known what it unpacks to. Raises ArrowInvalid for one that cannot be held."""
    for bytes_ in sizes:
        if bytes_ > limits.holdable(size):
            raise pa.ArrowInvalid(f"a batch of {bytes_ / 2**20:,.0f} MiB; write it in smaller batches")
        if (found := next(batches, None)) is None:
            return
        yield found
    if next(batches, None) is not None:
        raise pa.ArrowInvalid("its batches can be read in two ways")


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

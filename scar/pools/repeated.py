"""Lists of texts in a Parquet file: a text of its dictionary may stand in one row more often than can be held."""

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.pools import limits
from scar.pools.pages import Group, longest
from scar.pools.weight import weigh


def repeated(table: pq.ParquetFile, group: Group, heavy: list[int], stream: IO[bytes]) -> list[str]:
    """List the columns of a row group in which lists may hold more than limits.HELD bytes, of texts written once."""
    leaves = (table.schema.column(number) for number in range(len(table.schema)))
    return [
        leaf.path
        for leaf, column, most in zip(leaves, group.columns, heavy, strict=True)
        if leaf.max_repetition_level and column.dictionary and most * column.values > limits.HELD
        # The dictionary is looked into only where its size could make a bomb.
        if longest(column, stream) * column.values > limits.HELD
    ]


def refuse_heavy(
    batches: Iterator[pa.RecordBatch], packed: Iterator[pa.RecordBatch], place: str, size: int
) -> Iterator[pa.RecordBatch]:
    """Yield batches, each once its lists were weighed with every text of them held once, as `packed` has them.

    `size` is the bytes of the file. Raises InputError for one whose lists cannot be held.
    """
    for once in _readable(packed):
        if (weight := weigh(once)) > limits.holdable(size):
            raise InputError(
                f"{place}: {once.num_rows} neighbouring rows hold lists of {weight / 2**20:,.0f} MiB of text, "
                "the same few texts again and again: leave these rows out"
            )
        # Arrow's generators, asked again after their end, are no iterators that `yield from` can go on with.
        if (batch := next(batches, None)) is None:
            return
        yield batch
    yield from (batch for batch in batches)


def _readable(packed: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Stop where Arrow cannot keep texts once; what else is wrong is found again by who reads them."""
    try:
        yield from packed
    except OSError:
        return

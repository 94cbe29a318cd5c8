"""Write kept rows as Parquet: in the pool's own types, or for JSON rows under one schema that fits them all."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.pools import ArrowRow
from scar.selection.lines import KeptRow
from scar.selection.schema import Clash, Guess, decode_once
from scar.selection.spill import Spill

GROUP = 1024
"""Rows that are turned into a table together."""
GROUP_BYTES = 16 << 20
"""Bytes of a row group: they are in memory together, a few times over while they are packed."""
T = TypeVar("T")


def write_tables(stream: IO[bytes], tables: Iterator[pa.Table], bare: pa.Schema) -> None:
    """Write tables of one schema; `bare` is that of a file without rows."""
    first = next(tables, bare.empty_table())
    # A long text in a page header can make a file unreadable: no statistics on texts.
    statistics = [column.name for column in first.schema if pa.types.is_primitive(column.type)]
    with pq.ParquetWriter(stream, first.schema, compression="zstd", write_statistics=statistics) as writer:
        for table in _grouped(first, tables):
            writer.write_table(table)


def _grouped(first: pa.Table, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables into row groups worth having."""
    waiting, rows = [first], len(first)
    for table in tables:
        if rows >= 64 * GROUP or sum(each.nbytes for each in waiting) >= GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows = [], 0
        waiting.append(table)
        rows += len(table)
    yield pa.concat_tables(waiting)


def arrow_tables(
    rows: Iterable[KeptRow], added: pa.Schema, spill: Spill, *, by_rank: bool
) -> Iterator[pa.Table]:
    """Yield tables of rows in the pool's own types, the added columns last."""
    each = ((kept.rank, _arrow_row(kept, added)) for kept in rows)
    batches = _by_rank(each, spill) if by_rank else (batch for _, batch in each)
    for some in _batched(batches):
        yield pa.Table.from_batches(some).combine_chunks()


def _arrow_row(kept: KeptRow, added: pa.Schema) -> pa.RecordBatch:
    assert isinstance(kept.row, ArrowRow)
    batch = kept.row.arrow()
    for column in added:
        batch = batch.append_column(column.name, pa.array([kept.added[column.name]], column.type))
    return batch


def _by_rank(rows: Iterable[tuple[int, pa.RecordBatch]], spill: Spill) -> Iterator[pa.RecordBatch]:
    metadata = None
    for rank, row in rows:
        metadata = row.schema.metadata
        spill.add(rank, _ipc(row.replace_schema_metadata(None)))
    for raw in spill.read(by_rank=True):
        with pa.ipc.open_stream(raw) as reader:
            yield reader.read_next_batch().replace_schema_metadata(metadata)


def _ipc(row: pa.RecordBatch) -> bytes:
    """Give a row as a stream of its own: one IPC file cannot hold batches whose dictionaries differ."""
    for number, column in enumerate(row.schema):
        if pa.types.is_dictionary(column.type):
            row = row.set_column(number, column, _one_word(row.column(number)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as writer:
        writer.write_batch(row)
    return bytes(sink.getvalue())


def _one_word(value: pa.DictionaryArray) -> pa.DictionaryArray:
    """Drop the words of a dictionary that its one row does not use."""
    words = value.dictionary.take(value.indices.drop_null())
    place = pa.array([0 if len(words) else None], value.type.index_type)
    return pa.DictionaryArray.from_arrays(place, words, ordered=value.type.ordered)


def _batched(values: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(values, GROUP)):
        yield some


def json_tables(
    rows: Iterable[KeptRow], added: pa.Schema, spill: Spill, *, by_rank: bool
) -> Iterator[pa.Table]:
    """Yield tables of JSON rows under the one schema of them all, which the last row may still widen."""
    guess = Guess()
    for kept in rows:
        _see(guess, kept)
        spill.add(kept.rank, kept.line())
    schema = _whole(guess, added)
    for some in _batched(json.loads(row) for row in spill.read(by_rank=by_rank)):
        yield pa.Table.from_pylist(some, schema=schema)


def _see(guess: Guess, kept: KeptRow) -> None:
    try:
        guess.see(decode_once(kept.row.json()))
    except Clash as clash:
        address = kept.row.address
        raise InputError(
            f"{address.file}, line {address.line}: {clash}: Parquet needs one schema; write .jsonl"
        ) from None


def _whole(guess: Guess, added: pa.Schema) -> pa.Schema:
    try:
        return pa.schema([*guess.schema(), *added])
    except Clash as clash:
        raise InputError(f"the kept rows: {clash}; write .jsonl") from None

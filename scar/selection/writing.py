"""Write kept rows, each as it was: JSON Lines byte for byte, Parquet in the pool's own types. Knows no rules."""

import gzip
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scar.errors import InputError
from scar.files import atomic
from scar.pools import ArrowRow, PoolFile, Row, Table, source
from scar.selection.schema import Clash, Guess, decode_once

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
GROUP = 1024
"""Rows that are turned into a table together."""
GROUP_BYTES = 16 << 20
"""Bytes of a row group: they are in memory together, a few times over while they are packed."""
T = TypeVar("T")
Added = dict[str, int | str | np.float32 | None]
_COLUMNAR = ("parquet", "arrow", "hub")


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row to write, its rank from 1, and the columns to add to it."""

    row: Row
    rank: int
    added: Added = field(default_factory=dict)


def write(out: Path, rows: Iterable[KeptRow], files: Sequence[PoolFile], *, by_rank: bool) -> None:
    """Write rows to `out` in the type of its suffix; `by_rank` writes them by rank, else they come as they are.

    Raises InputError where Parquet is asked for and the rows have no one schema.
    """
    # Rows wait for their place beside the output, where there must be room anyway: /tmp may well be memory.
    with atomic(out) as stream, tempfile.TemporaryFile(dir=out.parent) as spill:
        if not out.name.endswith(".parquet"):
            _write_json(out, stream, rows, spill if by_rank else None)
        elif files[0].kind in _COLUMNAR:
            _write_tables(stream, _arrow_tables(rows, spill if by_rank else None), _schema(files[0]))
        else:
            _write_tables(stream, _json_tables(rows, spill, by_rank=by_rank), pa.schema([]))


def check_types(out: Path, files: Sequence[PoolFile]) -> None:
    """Refuse Parquet for a pool that has no one schema, naming the first file that differs."""
    if not out.name.endswith(".parquet") or not files:
        return
    first = files[0]
    for file in files[1:]:
        if _family(file) != _family(first):
            raise InputError(
                f"{out}: Parquet needs one schema, but {file.name} is {file.kind} and {first.name} is {first.kind}; "
                "write .jsonl"
            )
    if _family(first) == "json":
        return  # told row by row
    known = _schema(first)
    try:
        pq.ParquetWriter(io.BytesIO(), known).close()
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{out}: Parquet cannot hold the rows of {first.name}: {error}; write .jsonl"
        ) from None
    for file in files[1:]:
        other = _schema(file)
        if not other.equals(known):
            names = (repr(n) for n in [*known.names, *other.names] if _differs(known, other, n))
            what = next(names, "the order of the columns")
            raise InputError(
                f"{out}: Parquet needs one schema, but {file.name} differs from {first.name} in {what}; write .jsonl"
            )


def _schema(file: PoolFile) -> pa.Schema:
    return cast(Table, source(file)).schema()


def _family(file: PoolFile) -> str:
    return "columnar" if file.kind in _COLUMNAR else {"jsonl": "json"}.get(file.kind, file.kind)


def _differs(a: pa.Schema, b: pa.Schema, name: str) -> bool:
    if name not in a.names or name not in b.names:
        return True
    return bool(a.field(name) != b.field(name))


def _write_json(out: Path, stream: IO[bytes], rows: Iterable[KeptRow], spill: IO[bytes] | None) -> None:
    with _packed(out, stream) as target:
        lines = ((kept.rank, splice(kept.row.json(), _texts(kept.added)) + b"\n") for kept in rows)
        for line in _by_rank(lines, spill) if spill else (line for _, line in lines):
            target.write(line)


@contextmanager
def _packed(out: Path, stream: IO[bytes]) -> Iterator[Any]:
    if out.name.endswith(".gz"):
        # No name and no time in the header: the same rows give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed:
            yield packed
    elif out.name.endswith(".zst"):
        # Arrow closes what it writes to, and the file has yet to be synced.
        with pa.CompressedOutputStream(pa.PythonFile(_Unclosed(stream), "w"), "zstd") as packed:
            yield packed
    else:
        yield stream


class _Unclosed:
    """A stream that another may not close."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.write, self.flush = stream.write, stream.flush
        self.closed = False

    def close(self) -> None:
        """Leave it open."""
        self.closed = True


def _texts(added: Added) -> dict[str, str]:
    """Give the added values as JSON; a float32 as the shortest text that reads back as the same."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
        for name, value in added.items()
        if value is not None
    }


def splice(raw: bytes, added: dict[str, str]) -> bytes:
    """Add fields, given as JSON texts, to an object's own bytes before its last brace."""
    if not added:
        return raw
    end = raw.rindex(b"}")
    body = raw[:end]
    fields = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in added.items())
    comma = b"" if body.rstrip().endswith(b"{") and _empty(raw) else b", "
    return body + comma + fields.encode() + raw[end:]


def _empty(raw: bytes) -> bool:
    return bool(json.loads(raw) == {})


def _by_rank(rows: Iterable[tuple[int, bytes]], spill: IO[bytes]) -> Iterator[bytes]:
    """Yield bytes by rank by way of a temp file, so that memory holds offsets only."""
    ranks, sizes = [], []
    for rank, row in rows:
        ranks.append(rank)
        sizes.append(spill.write(row))
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    for number in _order(ranks):
        spill.seek(starts[number])
        yield spill.read(sizes[number])


def _batched(values: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(values, GROUP)):
        yield some


def _order(ranks: Sequence[int]) -> NDArray[np.int64]:
    return np.argsort(np.asarray(ranks, dtype=np.int64), kind="stable")


def _write_tables(stream: IO[bytes], tables: Iterator[pa.Table], bare: pa.Schema) -> None:
    """Write tables of one schema; `bare` is that of a file without rows."""
    first = next(tables, bare.empty_table())
    texts = [f.name for f in first.schema if not pa.types.is_primitive(f.type)]
    # A long text in a page header can make a file unreadable: no statistics on texts.
    statistics = [name for name in first.schema.names if name not in texts]
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


def _arrow_tables(rows: Iterable[KeptRow], spill: IO[bytes] | None) -> Iterator[pa.Table]:
    """Yield tables of rows in the pool's own types, the added columns last."""
    each: Iterator[tuple[int, pa.RecordBatch]] = (_arrow_row(kept) for kept in rows)
    if spill:
        each = _batches_by_rank(each, spill)
    for some in _batched(each):
        yield pa.Table.from_batches([batch for _, batch in some]).combine_chunks()


def _arrow_row(kept: KeptRow) -> tuple[int, pa.RecordBatch]:
    assert isinstance(kept.row, ArrowRow)
    batch = kept.row.arrow()
    for name, value in kept.added.items():
        batch = batch.append_column(name, pa.array([value], _added_type(value)))
    return kept.rank, batch


def _added_type(value: object) -> pa.DataType:
    """Give a column's type: only the name of a part can be text, or absent."""
    return {int: pa.int64(), str: pa.string(), type(None): pa.string()}.get(type(value), pa.float32())


def _batches_by_rank(
    batches: Iterable[tuple[int, pa.RecordBatch]], spill: IO[bytes]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    metadata = None

    def packed() -> Iterator[tuple[int, bytes]]:
        nonlocal metadata
        for rank, batch in batches:
            metadata = batch.schema.metadata
            yield rank, _ipc(batch.replace_schema_metadata(None))

    for rank, raw in enumerate(_by_rank(packed(), spill), start=1):
        with pa.ipc.open_stream(raw) as reader:
            yield rank, reader.read_next_batch().replace_schema_metadata(metadata)


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


def _json_tables(rows: Iterable[KeptRow], spill: IO[bytes], *, by_rank: bool) -> Iterator[pa.Table]:
    """Yield tables of JSON rows under the one schema of them all, which the last row may still widen."""
    guess = Guess()
    added_types: dict[str, pa.DataType] = {}
    ranks: list[int] = []
    sizes: list[int] = []
    for kept in rows:
        raw = kept.row.json()
        _see(guess, kept, raw)
        ranks.append(kept.rank)
        sizes.append(spill.write(splice(raw, _texts(kept.added))))
        added_types = {name: _added_type(value) for name, value in kept.added.items()} | added_types
    schema = _whole(guess, added_types)
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    order = _order(ranks) if by_rank else np.arange(len(ranks))
    for some in _batched(iter(order)):
        values = []
        for number in some:
            spill.seek(starts[number])
            values.append(json.loads(spill.read(sizes[number])))
        yield pa.Table.from_pylist(values, schema=schema)


def _see(guess: Guess, kept: KeptRow, raw: bytes) -> None:
    try:
        guess.see(decode_once(raw))
    except Clash as clash:
        address = kept.row.address
        raise InputError(
            f"{address.file}, line {address.line}: {clash}: Parquet needs one schema; write .jsonl"
        ) from None


def _whole(guess: Guess, added: dict[str, pa.DataType]) -> pa.Schema:
    try:
        fields = list(guess.schema())
    except Clash as clash:
        raise InputError(f"the kept rows: {clash}; write .jsonl") from None
    return pa.schema([*fields, *((name, kind) for name, kind in added.items())])

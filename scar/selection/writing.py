"""Write kept rows in the type of the output's suffix, each as it was. Knows no rules."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.files import atomic, temp_of
from scar.pools import PoolFile, Table, source
from scar.selection.lines import KeptRow, write_lines
from scar.selection.spill import Spill
from scar.selection.tables import arrow_tables, json_tables, write_tables

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
_COLUMNAR = ("parquet", "arrow", "hub")


@contextmanager
def written(
    out: Path, rows: Iterable[KeptRow], files: Sequence[PoolFile], added: pa.Schema, *, by_rank: bool
) -> Iterator[Path]:
    """Write rows, and give the file that becomes `out` at the end of the block.

    `added` types the columns that they add, `by_rank` writes them by rank, else as they come. Raises InputError where
    Parquet is asked for and the rows have no one schema.
    """
    # Rows wait for their place beside the output, where there must be room anyway: /tmp may well be memory.
    with atomic(out) as stream, Spill(out.parent) as spill:
        if not out.name.endswith(".parquet"):
            write_lines(out, stream, rows, spill, by_rank=by_rank)
        elif files[0].kind in _COLUMNAR:
            bare = pa.schema([*_schema(files[0]), *added])
            write_tables(stream, arrow_tables(rows, added, spill, by_rank=by_rank), bare)
        else:
            write_tables(stream, json_tables(rows, added, spill, by_rank=by_rank), added)
        stream.flush()
        yield temp_of(out)


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

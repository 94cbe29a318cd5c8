"""The folder beside a kept file, `KEPT.why`: its manifest, and a table of what became of every record."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scar.errors import InputError
from scar.files import refuse_url, sha256
from scar.pools.pages import groups
from scar.pools.source import damage
from scar.runs import Folder, Plan, read_columns, sidecar_columns
from scar.runs.types import MOST, out_of_range, wrong_column
from scar.selection.rules import NOBODY, Selection
from scar.selection.scored import Scored
from scar.selection.why.manifest import MANIFEST, Manifest

ENDING = ".why"
RECORDS = "records.parquet"
SCORE, RANK, STAGE, CROWDED_BY = "scar_score", "scar_rank", "scar_stage", "scar_crowded_by"
_TYPES = {SCORE: pa.float32(), RANK: pa.int64(), STAGE: pa.int16(), CROWDED_BY: pa.int64()}
_THERE = ("row", "part", "file", "line", "reason")


def why_folder(kept: str | Path) -> Path:
    """Name the folder beside a kept file."""
    return Path(kept).with_name(Path(kept).name + ENDING)


def refuse_foreign(kept: Path) -> None:
    """Raise InputError where something else stands in the place of the folder."""
    folder = why_folder(kept)
    if folder.exists() and not (
        folder.is_dir() and {each.name for each in folder.iterdir()} <= {MANIFEST, RECORDS}
    ):
        raise InputError(
            f"{folder} is not of `scar select`, and stands where it writes: move it, or choose another --out"
        )


def write_records(path: Path, run: Folder, plan: Plan, scored: Scored, selection: Selection) -> Counter[str]:
    """Write a row a record, a chunk at a time: all columns of its scores, and what became of it.

    Gives the records without a score by reason. Columns that the pool has under the names of ours are left out.
    """
    names = [name for name in sidecar_columns(run, plan) if name not in _TYPES]
    added = _outcome(scored, selection)
    tables = _with(added, read_columns(run, plan, names))
    first = next(tables)  # no pool is without rows
    reasons: Counter[str] = Counter()
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for table in chain([first], tables):
            reasons.update(table.column("reason").drop_null().to_pylist())
            writer.write_table(table)
    return reasons


def _with(added: Mapping[str, pa.Array], tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables with their slices of further columns."""
    start = 0
    for table in tables:
        stop = start + len(table)
        for name, values in added.items():
            table = table.append_column(name, values[start:stop])
        yield table
        start = stop


def _outcome(scored: Scored, selection: Selection) -> dict[str, pa.Array]:
    ranks = np.zeros(len(scored), dtype=np.int64)
    ranks[selection.rows] = np.arange(1, len(selection.rows) + 1)
    crowded = selection.crowded_by if selection.crowded_by is not None else np.full(len(scored), NOBODY)
    dropped = selection.reasons >= 0
    return {
        SCORE: pa.array(scored.column().astype(np.float32), mask=~scored.eligible),
        RANK: pa.array(ranks, mask=ranks == 0),
        STAGE: pa.array(selection.reasons, mask=~dropped),
        CROWDED_BY: pa.array(crowded, pa.int64(), mask=~dropped | (crowded == NOBODY)),
    }


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with damage(str(path)), open(path, "rb") as stream:
        groups(stream)
        stream.seek(0)
        with pq.ParquetFile(stream) as file:
            yield file


def _check_records(path: Path, manifest: Manifest) -> None:
    """Raise InputError where the table has not the columns that `write_records` writes, or leads out of itself."""
    rows, kept = manifest.counts["rows"], manifest.kept["records"]
    with _opened(path) as file:
        schema, records = file.schema_arrow, file.metadata.num_rows
        wrong = wrong_column(schema, manifest.rankers)
        wrong = wrong or next((name for name in (*_THERE, *_TYPES) if name not in schema.names), None)
        wrong = wrong or next(
            (name for name, kind in _TYPES.items() if schema.field(name).type != kind), None
        )
        if wrong:
            raise InputError(
                f"{path}: damaged: the column {wrong!r} is missing, or of another type; select again"
            )
        limits = {"row": rows, "line": MOST, STAGE: len(manifest.stages), CROWDED_BY: records, RANK: kept + 1}
        for number in range(file.num_row_groups):
            found = file.read_row_group(number, columns=list(limits), use_threads=False)
            if told := out_of_range(found, limits):
                raise InputError(f"{path}: damaged: {told}; select again")
    if records != manifest.records["records"]:
        raise InputError(
            f"{path}: {records} records, {manifest.records['records']} were selected from; select again"
        )


@dataclass(frozen=True)
class KeptFolder:
    """A kept file with what stands beside it."""

    kept: Path
    manifest: Manifest

    @classmethod
    def open(cls, kept: str | Path) -> "KeptFolder":
        """Open it. InputError where there is no manifest, or a file is not the one that it was written for."""
        kept = Path(kept)
        if not kept.is_file():
            refuse_url(kept, "kept rows")
            raise InputError(f"{kept}: no such file; give what `scar select` or `scar filter` wrote to --out")
        if not why_folder(kept).is_dir():
            raise InputError(
                f"{why_folder(kept)}: missing; `scar select` leaves it beside the kept file: keep both together, or "
                "select again"
            )
        manifest = Manifest.read(why_folder(kept))
        for path, facts in ((kept, manifest.kept), (why_folder(kept) / RECORDS, manifest.records)):
            if not path.is_file() or sha256(path) != facts["sha256"]:
                raise InputError(f"{path}: not the file that was selected; select again with --overwrite")
        _check_records(why_folder(kept) / RECORDS, manifest)
        return cls(kept, manifest)

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns of the table."""
        return list(pq.read_schema(why_folder(self.kept) / RECORDS).names)

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield columns of the table, a chunk of records at a time, in the pool's order."""
        with _opened(why_folder(self.kept) / RECORDS) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=list(columns), use_threads=False)
                table.validate(full=True)  # a text that is not UTF-8
                yield table

    def column(self, name: str) -> NDArray[Any]:
        """Give a column of numbers, shape (records,); NaN for null in floats, -1 in whole numbers."""
        chunks = [chunk for table in self.tables([name]) for chunk in table.column(name).chunks]
        values = pa.chunked_array(chunks)
        hole = float("nan") if pa.types.is_floating(values.type) else -1
        return np.asarray(values.fill_null(hole))

    def record(self, number: int) -> Mapping[str, Any]:
        """Give all that the table says of a record."""
        with _opened(why_folder(self.kept) / RECORDS) as file:
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if number < size:
                    return dict(file.read_row_group(group, use_threads=False).slice(number, 1).to_pylist()[0])
                number -= size
        raise IndexError(number)

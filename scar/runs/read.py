"""Read the scores of a run back, a chunk at a time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.runs.folder import Disk, Folder
from scar.runs.names import PLAN, RUN, data_name
from scar.runs.plan import Plan
from scar.runs.types import MOST, out_of_range, wrong_column
from scar.stages import map_ahead

AHEAD = 16
"""Chunks of a store that are read together."""


def finished(folder: Folder) -> bool:
    """Tell whether the run's last step was taken; a run whose plan was lost is none that is finished."""
    return {PLAN, RUN} <= (folder.names() or set())


def require_finished(folder: Folder) -> Plan:
    """Read the plan of a finished run; InputError where the run is not one, or is not finished."""
    if folder.names() is None:
        raise InputError(f"{folder.place}: no such run folder; `scar score` makes one")
    plan = Plan.read(folder)
    if not finished(folder):
        raise InputError(f"{folder.place}: the run did not finish; the same `scar score` goes on with it")
    return plan


@contextmanager
def _opened(folder: Folder, index: int) -> Iterator[pq.ParquetFile]:
    name = f"{folder.place}/{data_name(index)}"
    try:
        with (
            folder.open(data_name(index)) as stream,
            # Threads of Arrow that call a Python file can outlive the interpreter, and abort the process at its end.
            pq.ParquetFile(stream, page_checksum_verification=True) as file,
        ):
            yield file
    except FileNotFoundError:
        raise InputError(
            f"{name}: missing; the run folder is damaged: `scar verify {folder.place}`"
        ) from None
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        # Arrow reports some damage as an OSError without a number.
        raise _damaged(folder, index, error) from None


def _damaged(folder: Folder, index: int, why: object) -> InputError:
    name = f"{folder.place}/{data_name(index)}"
    return InputError(f"{name}: damaged ({why}): `scar verify {folder.place}` makes it anew")


def read_columns(folder: Folder, plan: Plan, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the named columns of the sidecar, one chunk at a time, in order."""
    read = partial(_columns, folder, plan, list(columns))
    indices = [chunk.index for chunk in plan.chunks]
    schema: pa.Schema | None = None
    for index, table in zip(indices, _tables(folder, read, indices), strict=True):
        schema = table.schema if schema is None else schema
        if not table.schema.equals(schema):
            raise _damaged(folder, index, "its columns have not the types of the first chunk's")
        yield table


def _tables(folder: Folder, read: Callable[[int], pa.Table], indices: Sequence[int]) -> Iterator[pa.Table]:
    """Read chunks; those of a store several at a time, for each waits for some answers of it."""
    if isinstance(folder, Disk):
        yield from map(read, indices)
        return
    with ThreadPoolExecutor(AHEAD) as threads:
        yield from map_ahead(threads, read, indices, AHEAD)


def _columns(folder: Folder, plan: Plan, columns: list[str], index: int) -> pa.Table:
    with _opened(folder, index) as file:
        there = _schema(file, plan).names
        missing = [column for column in columns if column not in there]
        if missing:
            raise InputError(
                f"{folder.place}: no column {missing[0]!r} in the scores; there are: {', '.join(there)}. "
                f"Columns of the pool must be carried: scar score --carry {missing[0]}"
            )
        table = file.read(columns=columns, use_threads=False)
        table.validate(full=True)  # a text that is not UTF-8
        limits = {name: most for name, most in (("row", plan.rows), ("line", MOST)) if name in columns}
        if told := out_of_range(table, limits):
            raise pa.ArrowInvalid(told)
        return table


def schema_of(folder: Folder, plan: Plan) -> pa.Schema:
    """Give names and types of the sidecar's columns."""
    with _opened(folder, plan.chunks[0].index) as file:
        return _schema(file, plan)


def _schema(file: pq.ParquetFile, plan: Plan) -> pa.Schema:
    """Give a chunk's columns. Raises ArrowInvalid, or UnicodeDecodeError, where no sidecar has such ones."""
    if wrong := wrong_column(file.schema_arrow, plan.rankers):
        raise pa.ArrowInvalid(f"the column {wrong!r} is there twice, or of another type")
    return file.schema_arrow


def sidecar_columns(folder: Folder, plan: Plan) -> list[str]:
    """List the columns of the sidecar."""
    return list(schema_of(folder, plan).names)


def number_columns(folder: Folder, plan: Plan) -> list[str]:
    """List the columns of the sidecar that hold floats: the scores; what was carried is text."""
    return [field.name for field in schema_of(folder, plan) if pa.types.is_floating(field.type)]

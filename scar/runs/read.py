"""Read the scores of a run back, a chunk at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.runs.folder import Folder
from scar.runs.names import PLAN, RUN, data_name
from scar.runs.plan import Plan
from scar.runs.types import MOST, out_of_range, wrong_column


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
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        # Arrow reports some damage as an OSError without a number.
        raise InputError(f"{name}: damaged ({error}): `scar verify {folder.place}` makes it anew") from None


def read_columns(folder: Folder, plan: Plan, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the named columns of the sidecar, one chunk at a time, in order."""
    first: pa.Schema | None = None
    for chunk in plan.chunks:
        with _opened(folder, chunk.index) as file:
            there = file.schema_arrow.names
            missing = [column for column in columns if column not in there]
            if missing:
                raise InputError(
                    f"{folder.place}: no column {missing[0]!r} in the scores; there are: {', '.join(there)}. "
                    f"Columns of the pool must be carried: scar score --carry {missing[0]}"
                )
            if wrong := wrong_column(file.schema_arrow, plan.rankers):
                raise pa.ArrowInvalid(f"the column {wrong!r} is there twice, or of another type")
            table = file.read(columns=list(columns), use_threads=False)
            first = table.schema if first is None else first
            if not table.schema.equals(first):
                raise pa.ArrowInvalid("its columns have not the types of the first chunk's")
            table.validate(full=True)  # a text that is not UTF-8
            limits = {name: most for name, most in (("row", plan.rows), ("line", MOST)) if name in columns}
            if told := out_of_range(table, limits):
                raise pa.ArrowInvalid(told)
        yield table


def schema_of(folder: Folder, plan: Plan) -> pa.Schema:
    """Give names and types of the sidecar's columns."""
    with _opened(folder, plan.chunks[0].index) as file:
        return file.schema_arrow


def sidecar_columns(folder: Folder, plan: Plan) -> list[str]:
    """List the columns of the sidecar."""
    return list(schema_of(folder, plan).names)


def number_columns(folder: Folder, plan: Plan) -> list[str]:
    """List the columns of the sidecar that hold floats: the scores; what was carried is text."""
    return [field.name for field in schema_of(folder, plan) if pa.types.is_floating(field.type)]

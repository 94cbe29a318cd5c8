"""Scores as the rules see them: columns of a run folder, loaded when a rule asks. Knows nothing of text."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.errors import InputError
from scar.runs import Plan, read_columns, require_finished


@dataclass(frozen=True)
class Scored:
    """The records of a run, in pool order. `eligible` marks those that a rule may still keep."""

    load: Callable[[str], pa.ChunkedArray]
    """Gives a column of the sidecar, one value a record."""
    eligible: NDArray[np.bool_]
    by: str
    """The score that rules use where they name none."""

    @classmethod
    def of_run(cls, run: Path, by: str | None = None) -> "Scored":
        """Open the records of a finished run; those that were set aside are not eligible."""
        plan = require_finished(run)
        columns = _Columns(run, plan)
        eligible = np.asarray(columns("reason").is_null())
        if by is None and len(plan.rankers) > 1:
            raise InputError(f"{run} has the scores {', '.join(plan.rankers)}: say --by NAME")
        return cls(columns, eligible, by or plan.rankers[0])

    @classmethod
    def of_columns(cls, by: str = "style", **columns: Any) -> "Scored":
        """Make records from columns in memory; a record whose `by` is NaN is not eligible."""
        table = {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}
        scores = np.asarray(columns[by], dtype=np.float32)
        return cls(_Table(table), ~np.isnan(scores), by)

    def __len__(self) -> int:
        """Give the number of records."""
        return len(self.eligible)

    def column(self, name: str | None = None) -> NDArray[np.float32]:
        """Give a score of every record, NaN where there is none."""
        values = self.load(name or self.by)
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            raise InputError(
                f"column {name or self.by!r} holds {values.type}, not numbers: a rule cannot order by it"
            )
        return np.asarray(values.cast(pa.float32(), safe=False).fill_null(np.nan), dtype=np.float32)

    def groups(self, name: str) -> NDArray[np.int64]:
        """Give each record's group as a number; rows without a value are one group of their own."""
        # Chunk by chunk: a long text column is never in memory whole.
        chunks = [chunk.cast(pa.string()).dictionary_encode("encode") for chunk in self.load(name).chunks]
        encoded = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        return np.asarray(encoded.indices, dtype=np.int64)

    def only(self, eligible: NDArray[np.bool_]) -> "Scored":
        """Give the same records with fewer eligible: what the next stage of a chain sees."""
        return replace(self, eligible=eligible)


@dataclass(frozen=True)
class _Table:
    columns: dict[str, pa.ChunkedArray]

    def __call__(self, name: str) -> pa.ChunkedArray:
        if name not in self.columns:
            raise InputError(f"no column {name!r} in the scores; there are: {', '.join(self.columns)}")
        return self.columns[name]


@dataclass(frozen=True)
class _Columns:
    run: Path
    plan: Plan

    @cached_property
    def _loaded(self) -> dict[str, pa.ChunkedArray]:
        return {}

    def __call__(self, name: str) -> pa.ChunkedArray:
        if name not in self._loaded:
            tables = list(read_columns(self.run, self.plan, [name]))
            chunks = [chunk for table in tables for chunk in table.column(name).chunks]
            self._loaded[name] = pa.chunked_array(chunks, type=tables[0].schema.field(name).type)
        return self._loaded[name]

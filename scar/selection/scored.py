"""Scored records as the rules see them: columns, embeddings and texts of a run, each read when a rule asks for it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.errors import InputError
from scar.pools import PoolFile, RowReader, rows_of
from scar.records import Record
from scar.runs import Embeddings, Folder, Plan, open_folder, read_columns, require_finished
from scar.selection.fuse import By, Fuse, names_of
from scar.settings import Reading


def _no_embeddings() -> Embeddings:
    raise InputError("these records have no embeddings, which this rule needs")


def _no_texts() -> Iterator[Record | None]:
    raise InputError("the texts of these records are not at hand, which this rule needs")


@dataclass(frozen=True)
class Scored:
    """The records of a run, in pool order. `eligible` marks those that a rule may still keep."""

    load: Callable[[str], pa.ChunkedArray]
    """Gives a column of the sidecar, one value a record."""
    eligible: NDArray[np.bool_]
    by: By
    """The score that rules use where they name none."""
    whole: "Scored | None" = None
    """The records before any stage, where one has narrowed them: fused ranks are among all of these."""
    must: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Records that no rule may drop while they are eligible."""
    length: str | None = None
    """The column of token counts: those of the ranker that orders, or of the first."""
    embed: Callable[[], Embeddings] = _no_embeddings
    """Opens the embeddings."""
    embedded: bool = False
    """Whether there are embeddings."""
    read: Callable[[], Iterator[Record | None]] = _no_texts
    """Reads the pool again: every record in order, None for one that was set aside."""

    def __post_init__(self) -> None:
        """Nothing must stay unless it is said."""
        if len(self.must) != len(self.eligible):
            object.__setattr__(self, "must", np.zeros(len(self.eligible), dtype=bool))

    @classmethod
    def of_run(
        cls, run: str | Path | Folder, by: By | None = None, files: Sequence[PoolFile] = ()
    ) -> "Scored":
        """Open the records of a finished run; those that were set aside are not eligible.

        `files` are the pool's, for rules that read texts.
        """
        folder = open_folder(run)
        plan = require_finished(folder)
        columns = _Columns(folder, plan)
        eligible = np.asarray(columns("reason").is_null())
        if by is None and len(plan.rankers) > 1:
            equal = ", ".join(f"{name}: 1" for name in plan.rankers)
            raise InputError(
                f"{folder.place} has the scores {', '.join(plan.rankers)}: say --by NAME, "
                f"or `by: {{fuse: rrf, of: {{{equal}}}}}` in a rules file (--rules)"
            )
        return cls(
            columns,
            eligible,
            plan.rankers[0] if by is None else by,
            length=f"{by if by in plan.rankers else plan.rankers[0]}_tokens",
            embedded=plan.embedded,
            embed=partial(Embeddings.of_run, folder, plan),
            read=partial(_records, files, plan) if files else _no_texts,
        )

    @classmethod
    def of_columns(
        cls,
        by: By = "style",
        *,
        embeddings: NDArray[Any] | None = None,
        records: Sequence[Record | None] | None = None,
        **columns: Any,
    ) -> "Scored":
        """Make records from columns in memory; a record whose `by`, or a part of it, is NaN is not eligible.

        A column named `tokens` holds their lengths; `embeddings` has shape (n, d), and rows of length 1.
        """
        table = {name: pa.chunked_array([pa.array(values)]) for name, values in columns.items()}
        every = cls(
            _Table(table),
            np.ones(len(next(iter(table.values()))), dtype=bool),
            by,
            length="tokens",
            embedded=embeddings is not None,
            embed=_no_embeddings if embeddings is None else partial(Embeddings.of_array, embeddings),
            read=_no_texts if records is None else partial(iter, records),
        )
        return replace(every, eligible=~np.any([np.isnan(every.column(n)) for n in names_of(by)], axis=0))

    def __len__(self) -> int:
        """Give the number of records."""
        return len(self.eligible)

    def column(self, by: By | None = None) -> NDArray[np.floating[Any]]:
        """Give a score of every record, NaN where there is none: float32, a fused one float64."""
        by = self.by if by is None else by
        return self._fused(by) if isinstance(by, Fuse) else self._numbers(by)

    def finite(self, by: By | None = None) -> NDArray[np.floating[Any]]:
        """Give a score; an eligible record without one is an error, not a low score."""
        by = self.by if by is None else by
        scores = self.column(by)
        bad = np.flatnonzero(self.eligible & ~np.isfinite(scores))
        if bad.size:
            raise InputError(f"{bad.size} records have no finite {by!r}, the first is record {bad[0]}")
        return scores

    def _numbers(self, name: str) -> NDArray[np.float32]:
        values = self.load(name)
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            raise InputError(f"column {name!r} holds {values.type}, not numbers: a rule cannot order by it")
        return np.asarray(values.cast(pa.float32(), safe=False).fill_null(np.nan), dtype=np.float32)

    def _fused(self, by: Fuse) -> NDArray[np.float64]:
        """Fuse columns over the whole run: what a stage dropped must not change the scores of the others."""
        run = self.whole or self
        if by not in run._fusions:
            fused = np.full(len(run), np.nan)
            fused[run.eligible] = by.combine([run.finite(name)[run.eligible] for name in by.of])
            run._fusions[by] = fused
        return run._fusions[by]

    @cached_property
    def _fusions(self) -> dict[Fuse, NDArray[np.float64]]:
        return {}

    def groups(self, name: str) -> NDArray[np.int64]:
        """Give each record's group as a number; rows without a value are one group of their own."""
        return self._encoded(name)[0]

    def group_names(self, name: str) -> list[str | None]:
        """Name the groups of a column, by their number."""
        return self._encoded(name)[1]

    def _encoded(self, name: str) -> tuple[NDArray[np.int64], list[str | None]]:
        # Chunk by chunk: a long text column is never in memory whole.
        # Arrow unifies no dictionaries that hold nulls: what has no value comes after all that have one.
        chunks = [chunk.cast(pa.string()).dictionary_encode() for chunk in self.load(name).chunks]
        encoded = pa.chunked_array(chunks).unify_dictionaries().combine_chunks()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        names = encoded.dictionary.to_pylist()
        groups = np.asarray(encoded.indices.fill_null(len(names)), dtype=np.int64)
        return groups, [*names, None] if encoded.null_count else names

    def tokens(self) -> NDArray[np.int64]:
        """Give each record's length in tokens as the ranker read it, 0 where it has no score."""
        if self.length is None:
            raise InputError("these records have no column of token counts, which this rule needs")
        return np.asarray(self.load(self.length).cast(pa.int64()).fill_null(0), dtype=np.int64)

    def embeddings(self) -> Embeddings:
        """Open the records' embeddings. InputError where there are none, or not as many."""
        embeddings = self.embed()
        if embeddings.shape[0] != len(self):
            raise InputError(f"there are {embeddings.shape[0]} embeddings of {len(self)} records")
        return embeddings

    def records(self) -> Iterator[tuple[int, Record]]:
        """Read the eligible records with their numbers, in the pool's order, one in memory at a time."""
        count = -1
        for count, record in enumerate(self.read()):
            if count >= len(self) or (record is None and self.eligible[count]):
                raise InputError("the pool is not the one that was scored: score it again")
            if record is not None and self.eligible[count]:
                yield count, record
        if count + 1 != len(self):
            raise InputError("the pool has fewer records than scores: score it again")

    def only(self, eligible: NDArray[np.bool_], must: NDArray[np.bool_] | None = None) -> "Scored":
        """Give the same records with fewer eligible, and more that must stay: what the next stage of a chain sees."""
        held = self.must if must is None else self.must | must
        return replace(self, eligible=eligible, must=held, whole=self.whole or self)


@dataclass(frozen=True)
class _Table:
    columns: dict[str, pa.ChunkedArray]

    def __call__(self, name: str) -> pa.ChunkedArray:
        if name not in self.columns:
            raise InputError(f"no column {name!r} in the scores; there are: {', '.join(self.columns)}")
        return self.columns[name]


def reader_of(files: Sequence[PoolFile], plan: Plan) -> RowReader:
    """Give what reads a pool's rows as they were read for their scores."""
    return RowReader(files, Reading(**plan.reading))


def _records(files: Sequence[PoolFile], plan: Plan) -> Iterator[Record | None]:
    reader = reader_of(files, plan)
    for row in rows_of(files):
        for item in reader.parse(row).items:
            yield item if isinstance(item, Record) else None


@dataclass(frozen=True)
class _Columns:
    run: Folder
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

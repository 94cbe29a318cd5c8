"""The kept rows, out of the pool again, each with what is added to it. Knows no rules."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.bundle import CALIBRATED, P_SEEN
from scar.errors import InputError
from scar.pools import Row
from scar.records import SetAside
from scar.runs import Folder, Plan, number_columns, read_columns
from scar.selection.fuse import Fuse
from scar.selection.lines import Added, KeptRow
from scar.selection.output import Output
from scar.selection.rules import Selection
from scar.selection.scored import Scored

FUSED = "fused"
"""The added column of a score that was fused."""


@dataclass(frozen=True)
class Kept:
    """The kept records in input order: pool row, rank from 1, part, and every ranker's scores."""

    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]
    parts: list[str | None]
    scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @cached_property
    def several(self) -> bool:
        """Whether any kept record is one of several of its row."""
        return any(part is not None for part in self.parts)

    @classmethod
    def of(cls, selection: Selection, scored: Scored, run: Folder, plan: Plan) -> "Kept":
        """Look up the kept records of a run. InputError where one of their scores is not finite."""
        order = np.argsort(selection.rows, kind="stable")
        numbers, ranks = selection.rows[order], order + 1
        rows: list[NDArray[np.int64]] = []
        parts: list[str | None] = []
        scores: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _added_scores(run, plan)}
        start = 0
        for table in read_columns(run, plan, ["row", "part", *scores]):
            inside = (
                numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, start + len(table))]
                - start
            )
            taken = table.take(inside)
            rows.append(np.asarray(taken["row"], dtype=np.int64))
            parts += taken["part"].to_pylist()
            for name, each in scores.items():
                each.append(np.asarray(taken[name], dtype=np.float32))
            start += len(table)
        whole = {name: np.concatenate(each) for name, each in scores.items()}
        for name, values in whole.items():
            if (lost := int((~np.isfinite(values)).sum())) > 0:
                raise InputError(
                    f"{run.place}: {lost} kept records have no finite {name!r}: score the pool again"
                )
        if isinstance(scored.by, Fuse):
            whole[FUSED] = scored.column()[numbers].astype(np.float32)
        return cls(np.concatenate(rows), ranks, parts, whole)


def _added_scores(run: Folder, plan: Plan) -> list[str]:
    """List the scores that a kept row is given: each ranker's own, and what they were calibrated to."""
    there = number_columns(run, plan)
    calibrated = [f"{name}_{ending}" for name in plan.rankers for ending in CALIBRATED]
    return [*plan.rankers, *(name for name in (*calibrated, P_SEEN) if name in there)]


def added_schema(kept: Kept, output: Output) -> pa.Schema:
    """Give the types of the added columns, by the names that they have in the output."""
    if not output.added_columns:
        return pa.schema([])
    types = {"rank": pa.int64(), "row": pa.int64()} | ({"part": pa.string()} if kept.several else {})
    types |= dict.fromkeys(kept.scores, pa.float32())
    return pa.schema([(output.prefix + name, kind) for name, kind in types.items()])


def rows_to_write(rows: Iterable[Row], kept: Kept, output: Output) -> Iterator[KeptRow]:
    """Yield the kept ones of a pool's rows in input order; rows after the last of them are not asked for."""
    number = 0
    for row in rows:
        while number < len(kept.rows) and kept.rows[number] == row.address.row:
            yield _row(row, kept, number, output)
            number += 1
        if number == len(kept.rows):
            return
    if number < len(kept.rows):
        raise InputError("the scores name rows that the pool does not have: score it again")


def _row(row: Row, kept: Kept, number: int, output: Output) -> KeptRow:
    rank = int(kept.ranks[number])
    fields = row.decode()
    where = f"{row.address.file}, line {row.address.line}"
    if isinstance(fields, SetAside):
        raise InputError(f"{where}: {fields.detail}: score the pool again")
    if not output.added_columns:
        return KeptRow(row, rank)
    values: Added = {"rank": rank, "row": int(kept.rows[number])}
    if kept.several:
        values["part"] = kept.parts[number]
    values |= {name: scores[number] for name, scores in kept.scores.items()}
    added = {output.prefix + name: value for name, value in values.items()}
    if clash := [name for name in added if name in fields]:
        raise InputError(f"{where}: the row has a column {clash[0]!r} already; choose another --prefix")
    return KeptRow(row, rank, added)

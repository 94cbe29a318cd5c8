"""Write the rows that a rule keeps: the original rows, streaming, in input order or best first."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.bundle import CALIBRATED, P_SEEN
from scar.errors import InputError
from scar.files import refuse_existing
from scar.pools import Place, PoolFile, Row, find, rows_of
from scar.records import SetAside
from scar.runs import Folder, Plan, number_columns, open_folder, read_columns, require_finished
from scar.selection.agreement import Correlations, correlations
from scar.selection.fuse import By, Fuse
from scar.selection.lines import Added, KeptRow
from scar.selection.rules import NOT_ELIGIBLE, Rule, Selection, TopK
from scar.selection.scored import Scored
from scar.selection.writing import SUFFIXES, check_types, write

MOST_SORTED = 1_000_000
FUSED = "fused"
"""The added column of a score that was fused."""


@dataclass(frozen=True)
class Output:
    """How the kept file is written."""

    sort: bool = False
    """Write best first instead of in input order."""
    prefix: str = "scar_"
    """Prefix of the added columns."""
    added_columns: bool = True
    """Add rank, row, part and scores to each kept row."""
    overwrite: bool = False
    """Replace an existing file."""


@dataclass(frozen=True)
class KeepReport:
    """What a selection kept, and of how much: scored = kept + dropped."""

    out: Path
    rows: int
    records: int
    kept: int
    dropped: int
    set_aside: int
    stages: tuple[tuple[str, int], ...]
    """Each stage, and how many records it dropped."""
    notes: tuple[str, ...] = ()
    correlations: Correlations | None = None
    """How far the scores agree, where several were combined."""


def select(
    run: str | Path | Folder,
    rule: Rule,
    out: str | Path,
    *,
    by: By | None = None,
    pool: Place | Sequence[Place] | None = None,
    output: Output | None = None,
    tell: Callable[[Correlations], None] | None = None,
) -> KeepReport:
    """Keep rows of a scored pool: write the original rows that `rule` keeps to `out` (.jsonl or .parquet).

    `pool` gives the pool's new place where it was moved since it was scored. `tell` is told how far the scores agree
    before they are combined, where they are. Raises InputError where the pool
    changed, the output exists, or an input row already has an added column.
    """
    folder, out, output = open_folder(run), Path(out), output or Output()
    check_output(out, output)
    plan = require_finished(folder)
    files = pool_files(plan, pool)
    check_output(out, output, files)
    if isinstance(by, Fuse) and FUSED in plan.rankers:
        raise InputError(
            f"{folder.place}: a ranker is named {FUSED!r}, as a fused score is: name it otherwise"
        )
    scored = Scored.of_run(folder, by, files)
    agreement = correlations(scored, rule, plan.rankers)
    if agreement and tell:
        tell(agreement)
    selection = rule.select(scored)
    if output.sort and len(selection.rows) > MOST_SORTED:
        raise InputError(
            f"--sort takes at most {MOST_SORTED} kept rows, this selection has {len(selection.rows)}"
        )
    kept = _Kept.of(selection, scored, folder, plan)
    write(out, _rows(files, kept, output), files, _added(kept, output), by_rank=output.sort)
    return _report(out, plan, selection, rule, agreement)


def check_output(out: Path, output: Output, pool: Sequence[PoolFile] = ()) -> None:
    """Refuse an output that cannot be written, before anything long is done."""
    if not out.name.endswith(SUFFIXES):
        raise InputError(f"{out}: the kept rows go to {', '.join(SUFFIXES)}")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder for the kept rows")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent}: no permission to write the kept rows there")
    refuse_existing(out, overwrite=output.overwrite)
    if out.is_dir():
        raise InputError(f"{out} is a folder; the kept rows go to a file")
    if out.resolve() in {Path(file.place).resolve() for file in pool}:
        raise InputError(f"{out} is a file of the pool: choose another --out")
    check_types(out, pool)


def pool_files(plan: Plan, pool: Place | Sequence[Place] | None = None) -> list[PoolFile]:
    """Find the files that were scored, and check that they are the same bytes."""
    try:
        files = {file.name: file for file in find(pool if pool is not None else list(plan.pool))}
    except InputError as error:
        raise InputError(f"{error}; where the pool was moved, --pool gives its new place") from None
    for facts in plan.files:
        if facts.name not in files:
            raise InputError(f"{facts.name}: not in the pool any more; --pool gives its new place")
        if files[facts.name].facts() != (facts.bytes, facts.sha256):
            raise InputError(f"{files[facts.name].place}: changed since it was scored; score it again")
    return [files[facts.name] for facts in plan.files]


@dataclass(frozen=True)
class _Kept:
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
    def of(cls, selection: Selection, scored: Scored, run: Folder, plan: Plan) -> "_Kept":
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


def _added(kept: _Kept, output: Output) -> pa.Schema:
    """Give the types of the added columns, by the names that they have in the output."""
    if not output.added_columns:
        return pa.schema([])
    types = {"rank": pa.int64(), "row": pa.int64()} | ({"part": pa.string()} if kept.several else {})
    types |= dict.fromkeys(kept.scores, pa.float32())
    return pa.schema([(output.prefix + name, kind) for name, kind in types.items()])


def _rows(files: Sequence[PoolFile], kept: _Kept, output: Output) -> Iterator[KeptRow]:
    """Yield the kept rows in input order."""
    number = 0
    for row in rows_of(files):
        while number < len(kept.rows) and kept.rows[number] == row.address.row:
            yield _row(row, kept, number, output)
            number += 1
        if number == len(kept.rows):
            return
    if number < len(kept.rows):
        raise InputError("the scores name rows that the pool does not have: score it again")


def _row(row: Row, kept: _Kept, number: int, output: Output) -> KeptRow:
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


def _report(
    out: Path, plan: Plan, selection: Selection, rule: Rule, agreement: Correlations | None
) -> KeepReport:
    kept, records = len(selection.rows), len(selection.reasons)
    set_aside = int((selection.reasons == NOT_ELIGIBLE).sum())
    dropped = [int((selection.reasons == number).sum()) for number in range(len(selection.stages))]
    notes, left = [], records - set_aside
    for stage, lost in zip(getattr(rule, "rules", (rule,)), dropped, strict=False):
        if isinstance(stage, TopK) and left < stage.k:
            notes.append(f"asked for {stage.k}, there were only {left}: all of them are kept")
        left -= lost
    if agreement and agreement.opposed:
        pairs = ", ".join(f"{a} and {b} ({agreement.of(a, b):.2f})" for a, b in agreement.opposed)
        notes.append(f"fused scores pull in opposite directions: {pairs}: few records are high in both")
    if kept == 0:
        notes.append("no record was kept")
    stages = tuple(zip(selection.stages, dropped, strict=True))
    return KeepReport(
        out, plan.rows, records, kept, records - set_aside - kept, set_aside, stages, tuple(notes), agreement
    )

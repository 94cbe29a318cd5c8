"""Write the rows that a rule keeps: the original rows, streaming, in input order or best first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scar.errors import InputError
from scar.folders import new_folder
from scar.pools import Place, rows_of
from scar.runs import Folder, Plan, number_columns, open_folder, require_finished, sidecar_columns
from scar.selection.agreement import Correlations, correlations
from scar.selection.audit import Audit, audit_of, sample_of
from scar.selection.config import scores_of
from scar.selection.fuse import By, Fuse
from scar.selection.kept_rows import FUSED, Kept, added_schema, rows_to_write
from scar.selection.output import Output, check_output, pool_files
from scar.selection.rules import NOT_ELIGIBLE, Rule, Selection, needs_of, stages_of
from scar.selection.scored import Scored, reader_of
from scar.selection.why.folder import why_folder
from scar.selection.why.making import Made, write_why
from scar.selection.writing import written

MOST_SORTED = 1_000_000


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
    audit: Audit | None = None
    """What the selection prefers besides the score."""


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

    Beside it, in `<out>.why`, it leaves how it was made and what became of every record. `pool` gives the pool's new
    place where it was moved since it was scored. `tell` is told how far the scores agree before they are combined,
    where they are. Raises InputError where the pool changed, the output exists, or an input row already has an added
    column.
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
    _require_readable(folder, plan, scored, rule)
    agreement = correlations(scored, rule, plan.rankers)
    if agreement and tell:
        tell(agreement)
    selection = rule.select(scored)
    if output.sort and len(selection.rows) > MOST_SORTED:
        raise InputError(
            f"--sort takes at most {MOST_SORTED} kept rows, this selection has {len(selection.rows)}"
        )
    kept = Kept.of(selection, scored, folder, plan)
    sample = sample_of(scored, selection, reader_of(files, plan))
    rows = sample.watch(rows_of(files))
    lines, added = rows_to_write(rows, kept, output), added_schema(kept, output)
    # The kept file comes last: who is killed before it selects again, and is asked nothing.
    with written(out, lines, files, added, by_rank=output.sort) as file:
        audit = audit_of(scored, selection, sample, rows)
        with new_folder(why_folder(out), overwrite=True) as made:
            write_why(made, Made(out.name, file, folder, plan, rule, scored, selection, audit))
    return _report(out, plan, selection, rule, agreement, audit)


def _require_readable(folder: Folder, plan: Plan, scored: Scored, rule: Rule) -> None:
    """Raise InputError for what a rule reads and the run has not, before a rule has worked for long."""
    there, needs = sidecar_columns(folder, plan), needs_of(rule)
    for name in scores_of(rule, scored.by):
        if name not in there:
            can = [*number_columns(folder, plan), *(each for each in there if each.endswith("_tokens"))]
            raise InputError(f"{folder.place}: no score {name!r}; there are: {', '.join(can)}")
    for column in needs.columns:
        if column not in there:
            scored.load(column)  # says how a column comes there
    if needs.embeddings:
        scored.embeddings()


def _report(
    out: Path,
    plan: Plan,
    selection: Selection,
    rule: Rule,
    agreement: Correlations | None,
    audit: Audit,
) -> KeepReport:
    kept, records = len(selection.rows), len(selection.reasons)
    set_aside = int((selection.reasons == NOT_ELIGIBLE).sum())
    dropped = [int((selection.reasons == number).sum()) for number in range(len(selection.stages))]
    notes, left = [], records - set_aside
    for stage, lost in zip(stages_of(rule), dropped, strict=False):
        if left < (k := getattr(stage, "k", None) or 0):
            kept_of = "all of them are kept" if not lost else f"{left - lost} of them are kept"
            notes.append(f"asked for {k}, there were only {left}: {kept_of}")
        if getattr(stage, "tokens", None) and left and not lost:
            notes.append(f"{stage}: all of the {left} records that were left fit the budget")
        left -= lost
    if agreement and agreement.opposed:
        pairs = ", ".join(f"{a} and {b} ({agreement.of(a, b):.2f})" for a, b in agreement.opposed)
        notes.append(f"fused scores pull in opposite directions: {pairs}: few records are high in both")
    if kept == 0:
        notes.append("no record was kept")
    stages = tuple(zip(selection.stages, dropped, strict=True))
    return KeepReport(
        out,
        plan.rows,
        records,
        kept,
        records - set_aside - kept,
        set_aside,
        stages,
        tuple(notes),
        agreement,
        audit,
    )

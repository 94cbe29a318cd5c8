"""Score a pool and keep the best rows of it, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scar.errors import InputError
from scar.pools import Place, find
from scar.runs import Disk
from scar.selection.config import check_scores, columns_of
from scar.selection.fuse import By
from scar.selection.keep import KeepReport, Output, check_output, select
from scar.selection.rules import Rule
from scar.serving.plan import Existing, clear
from scar.serving.rankers import Rankers, open_bundles
from scar.serving.report import RunReport, Watch
from scar.serving.run import score_pool
from scar.serving.sidecar import OWN
from scar.settings import Reading, Scoring


@dataclass(frozen=True)
class FilterReport:
    """What was scored, and what was kept."""

    run: RunReport
    kept: KeepReport


def filter_pool(
    pool: Place | Sequence[Place],
    ranker: Rankers,
    out: str | Path,
    keep: Rule,
    *,
    by: By | None = None,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    output: Output | None = None,
    keep_scores: bool = False,
    watch: Watch | None = None,
) -> FilterReport:
    """Score a pool with a ranker, or with several, and write the rows that `keep` keeps to `out`.

    `by` is the score that rules use where they name none; with several rankers it must be given. The run folder
    stands beside `out` as `<out>.run` until all is done; `keep_scores` leaves it there. Columns that the rule groups
    by are carried without being asked for.
    """
    out, output, scoring = Path(out), output or Output(), scoring or Scoring()
    check_output(out, output, find(pool))
    bundles = open_bundles(ranker)
    if by is None and len(bundles) > 1:
        raise InputError(_which([bundle.name for bundle in bundles]))
    given = [column for bundle in bundles for column in bundle.columns()]
    check_scores(keep, by, given)
    there = (*OWN, *given, *(f"{bundle.name}_truncated" for bundle in bundles))
    grouped = [column for column in columns_of(keep) if column not in there]
    scoring = replace(scoring, carry=tuple(dict.fromkeys((*scoring.carry, *grouped))))
    run = out.with_name(out.name + ".run")
    # What a killed filter left goes on; scores of other rows or another ranker are in the way only without --overwrite.
    existing: Existing = "replace another" if output.overwrite else "resume"
    scored = score_pool(pool, ranker, run, reading=reading, scoring=scoring, overwrite=existing, watch=watch)
    folder = Disk(run)
    if not keep_scores and not scored.already:
        with folder.writing(OWN_SCORES):
            pass  # also where the selection fails, or is killed, they are to go one day
    kept = select(run, keep, out, by=by, output=output)
    if keep_scores:
        folder.remove([OWN_SCORES])
    elif OWN_SCORES in (folder.names() or ()):
        _take_away(folder)
    return FilterReport(scored, kept)


OWN_SCORES = ".of-filter"
"""Marks a run folder that `filter_pool` made for itself alone: it goes when the rows are kept."""


def _take_away(folder: Disk) -> None:
    with folder.hold():
        clear(folder)
        folder.remove([OWN_SCORES])
    if not any(folder.path.iterdir()):
        folder.path.rmdir()


def _which(names: Sequence[str]) -> str:
    equal = ", ".join(f"{name}: 1" for name in names)
    return (
        f"the rankers {', '.join(names)} score together: say --by NAME, "
        f"or `by: {{fuse: rrf, of: {{{equal}}}}}` in a rules file (--rules)"
    )

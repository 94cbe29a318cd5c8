"""Score a pool and keep the best rows of it, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scar.bundle import Bundle
from scar.pools import Place, find
from scar.selection.config import check_scores, columns_of
from scar.selection.fuse import By
from scar.selection.keep import KeepReport, Output, check_output, select
from scar.selection.rules import Rule
from scar.serving.plan import clear
from scar.serving.run import RunReport, Watch, score_pool
from scar.serving.sidecar import OWN
from scar.settings import Reading, Scoring


@dataclass(frozen=True)
class FilterReport:
    """What was scored, and what was kept."""

    run: RunReport
    kept: KeepReport


def filter_pool(
    pool: Place | Sequence[Place],
    ranker: str | Path,
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
    """Score a pool with a ranker and write the rows that `keep` keeps to `out`.

    The run folder stands beside `out` as `<out>.run` until all is done; `keep_scores` leaves it there. Columns that
    the rule groups by are carried without being asked for.
    """
    out, output, scoring = Path(out), output or Output(), scoring or Scoring()
    check_output(out, output, find(pool))
    check_scores(keep, by, Bundle.open(ranker).columns())
    grouped = [column for column in columns_of(keep) if column not in OWN]
    scoring = replace(scoring, carry=tuple(dict.fromkeys((*scoring.carry, *grouped))))
    run = out.with_name(out.name + ".run")
    scored = score_pool(
        pool, ranker, run, reading=reading, scoring=scoring, overwrite=output.overwrite, watch=watch
    )
    kept = select(run, keep, out, by=by, output=output)
    if not keep_scores and not scored.already:
        clear(run)
        if not any(run.iterdir()):
            run.rmdir()
    return FilterReport(scored, kept)

"""Score a pool and keep the best rows of it, in one call."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scar.errors import InputError
from scar.pools import Place, find
from scar.runs import PASSING, PLAN, Disk, Plan
from scar.selection.config import check_scores, columns_of
from scar.selection.fuse import By
from scar.selection.keep import KeepReport, select
from scar.selection.output import Output, check_output
from scar.selection.rules import Rule, needs_of
from scar.serving.plan import Existing, check_run, clear
from scar.serving.rankers import Rankers, open_bundles
from scar.serving.report import RunReport, Watch
from scar.serving.run import score_pool
from scar.serving.sidecar import OWN
from scar.settings import Reading, Scoring
from scar.settings.scoring import OWN as BY_RANKER


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
    stands beside `out` as `<out>.run` until all is done; `keep_scores` leaves it there. Columns that the rule reads
    are carried without being asked for, and where it reads embeddings the first ranker makes them, unless an encoder is
    named.
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
    if needs_of(keep).embeddings and not scoring.embeddings:
        scoring = replace(scoring, embeddings=BY_RANKER)
    run = out.with_name(out.name + ".run")
    folder = Disk(run)
    existing = _begin(folder, keep_scores=keep_scores, overwrite=output.overwrite)
    try:
        scored = score_pool(
            pool, ranker, run, reading=reading, scoring=scoring, overwrite=existing, watch=watch
        )
    except InputError:
        _leave_no_mark(folder)
        raise
    fingerprint = Plan.read(folder).fingerprint
    kept = select(run, keep, out, by=by, pool=_signed(pool), output=output)
    if not keep_scores:
        _end(folder, fingerprint)
    return FilterReport(scored, kept)


def _begin(folder: Disk, *, keep_scores: bool, overwrite: bool) -> Existing:
    """Mark a new run as one that goes when all is done, or an old one as one that stays; say what may become of it.

    What a killed filter left goes on, or makes room for other scores with --overwrite. Scores that were made to stay
    are used, and make room for nothing.
    """
    check_run(folder)
    there = folder.names() or set()
    if keep_scores or PLAN not in there:
        with folder.hold():
            if keep_scores:
                folder.remove([PASSING])
            elif PLAN not in (folder.names() or ()):
                with folder.writing(PASSING) as stream:
                    stream.write(b"Made by `scar filter`; gone when it is done.\n")
    if PLAN in there and PASSING not in there:
        return "resume kept"
    return "replace another" if overwrite else "resume"


def _end(folder: Disk, fingerprint: Mapping[str, Any]) -> None:
    """Remove a run that was made to go, unless another took its place."""
    with folder.hold():
        if PASSING not in (folder.names() or ()) or Plan.read(folder).fingerprint != fingerprint:
            return
        clear(folder)
        folder.remove([PASSING])
    if not any(folder.path.iterdir()):
        folder.path.rmdir()


def _leave_no_mark(folder: Disk) -> None:
    """Remove a folder of which no run became one."""
    if (folder.names() or {PLAN}) <= {PASSING}:
        folder.remove([PASSING])
        with suppress(OSError):  # another filter has begun there meanwhile
            folder.path.rmdir()


def _signed(pool: Place | Sequence[Place]) -> Place | Sequence[Place] | None:
    """Give a pool that holds URLs, whose signatures the plan does not keep; None where the plan knows enough."""
    places = [pool] if isinstance(pool, str | Path) else pool
    return pool if any("://" in str(place) for place in places) else None


def _which(names: Sequence[str]) -> str:
    equal = ", ".join(f"{name}: 1" for name in names)
    return (
        f"the rankers {', '.join(names)} score together: say --by NAME, "
        f"or `by: {{fuse: rrf, of: {{{equal}}}}}` in a rules file (--rules)"
    )

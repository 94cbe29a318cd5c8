"""Score a pool: read ahead, tokenise, batch, run, commit chunk by chunk. Memory holds a few chunks, never the pool."""

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from scar.errors import RunError
from scar.files import write_json
from scar.pools import Place, RowReader, find, recorded
from scar.runs import RUN, Plan
from scar.serving.engines import versions
from scar.serving.ledger import Counts, commit, join_set_aside
from scar.serving.pipeline import Failed, Meter, Scored, Threads, read_chunks, where
from scar.serving.plan import check_run, claim, make_plan
from scar.serving.rankers import Rankers, check_carried, open_bundles
from scar.serving.report import RunReport, Unwatched, Watch, finished_before, summary
from scar.serving.scorer import Scorer
from scar.serving.shares import shares
from scar.serving.sidecar import count, table, with_scores
from scar.serving.workers import Workers
from scar.settings import Reading, Scoring

log = logging.getLogger("scar")


def score_pool(
    pool: Place | Sequence[Place],
    ranker: Rankers,
    out: str | Path,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> RunReport:
    """Score every record of a pool into the run folder `out`: a sidecar of scores, never a rewrite of the text.

    Several rankers score in one pass: each text is read once, and tokenised once for each distinct tokenizer.
    Raises InputError where the pool, the bundle or the folder is not usable, RunError where the scores are not.
    """
    reading, scoring, watch, run = reading or Reading(), scoring or Scoring(), watch or Unwatched(), Path(out)
    # Refused before anything long is done, or anything deleted.
    dealt = shares(scoring.workers) if scoring.workers else []
    files = find(pool)
    check_run(run)
    reader = RowReader(files, reading, scoring.carry)
    bundles = open_bundles(ranker)
    check_carried(bundles, scoring.carry)
    scorers = [Scorer.of_bundle(bundle, scoring) for bundle in bundles]
    plan = make_plan(files, recorded(pool, files), scorers, reading, scoring)
    if not claim(run, plan, overwrite=overwrite):
        return finished_before(run)
    if len(dealt) > len(plan.chunks):
        log.warning(
            "--workers %d: the pool is %d chunks, so some have nothing to do; give fewer --chunk_rows",
            len(dealt),
            len(plan.chunks),
        )
    watch.start(plan.rows)
    started = time.perf_counter()
    counts, meter = Counts(), Meter()
    stage: Workers | Threads = (
        Workers(scorers, dealt, watch.batch, scoring.stall) if dealt else Threads(scorers, watch.batch)
    )
    failed: list[Failed] = []
    with closing(stage.run(read_chunks(files, plan.chunks, reader))) as scored:
        for chunk in scored:
            if isinstance(chunk, Failed):
                log.error("%s is not scored: %s", where(chunk.chunk), chunk.why)
                failed.append(chunk)
                continue
            meter.add(chunk.meter)
            counts.add(_commit(run, plan, chunk, scoring.carry))
            watch.chunk(counts)
    if failed:
        left = ", ".join(str(each.chunk.index) for each in failed)
        raise RunError(f"{run}: chunk {left} is not scored: {failed[0].why}; run the same command again")
    join_set_aside(run, plan)
    seconds = time.perf_counter() - started
    choice = {scorer.name: asdict(scorer.choice) for scorer in scorers}
    report = RunReport(run, counts, seconds, meter.padding, choice, versions=versions())
    write_json(run / RUN, summary(report))
    return report


def _commit(run: Path, plan: Plan, scored: Scored, carry: Sequence[str]) -> Counts:
    """Write a chunk's rows of the sidecar, while the engines run the chunks after it."""
    items, places = with_scores(scored.items, scored.scores)
    counts = count(items, places, scored.scores)
    sheet = table(items, places, scored.scores, carry)
    aside = [item.set_aside for item in items if item.set_aside]
    commit(run, scored.chunk.index, sheet, aside, counts, plan.fingerprint)
    return counts

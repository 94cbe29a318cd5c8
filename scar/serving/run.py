"""Score a pool: read ahead, tokenise, batch, run, commit chunk by chunk. Memory holds a few chunks, never the pool."""

import logging
from collections.abc import Sequence
from pathlib import Path

from scar.errors import InputError
from scar.pools import Place
from scar.runs import PLAN, RUN, Folder, Plan, Shard, finished, open_folder
from scar.serving.job import Job
from scar.serving.ledger import done, join_set_aside
from scar.serving.plan import Existing, another, check_run, planned, settle
from scar.serving.rankers import Rankers
from scar.serving.report import RunReport, Unwatched, Watch, finished_before, summary, write_summary
from scar.serving.session import Session
from scar.settings import Cluster, Reading, Scoring

log = logging.getLogger("scar")
Out = str | Path | Folder


def score_pool(
    pool: Place | Sequence[Place],
    ranker: Rankers,
    out: Out,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    overwrite: bool | Existing = False,
    shard: Shard | None = None,
    cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> RunReport:
    """Score every record of a pool into the run folder `out`: a sidecar of scores, never a rewrite of the text.

    Several rankers score in one pass: each text is read once, and tokenised once for each distinct tokenizer. A run
    that was stopped goes on with the chunks that are left; `overwrite` starts it again. With a `shard` only its chunks
    are scored, by the plan that `plan_run` wrote, beside processes that score the others; `gather` ends such a run. On
    a `cluster` actors score and commit the chunks, and this process holds the lock.
    Raises InputError where the pool, the bundle or the folder is not usable, RunError where the scores are not.
    """
    if shard and cluster:
        raise InputError("--shard and --cluster: the cluster deals out the chunks; give one of them")
    if shard and overwrite:
        raise InputError(
            "--shard with --overwrite: `scar plan --overwrite` begins the run anew, for all its shards"
        )
    if cluster:
        cluster.check(scoring or Scoring())
    folder = open_folder(out)
    check_run(folder)
    job = Job.of(pool, ranker, reading, scoring)
    ended = {PLAN, RUN} <= (folder.names() or set()) and not folder.locked()
    if ended and not overwrite and not another(folder, Plan.read(folder), job):
        return finished_before(folder)  # to say so nothing is written, not even a lock
    with folder.hold(shard) as dead:
        if dead and not job.scoring.workers:
            log.info("if it dies again at the same place: --workers 1 finds the row, and sets it aside")
        plan = planned(folder, job) if shard else settle(folder, job, _existing(overwrite))
        if finished(folder):
            return finished_before(folder)
        report = Session(folder, plan, job, watch or Unwatched(), cluster).score(shard)
        return report if shard else finish(folder, plan, report)


def _existing(overwrite: bool | Existing) -> Existing:
    return overwrite if isinstance(overwrite, str) else "replace" if overwrite else "resume"


def plan_run(
    pool: Place | Sequence[Place],
    ranker: Rankers,
    out: Out,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    overwrite: bool = False,
) -> Plan:
    """Write the plan of a run and score nothing: processes on any machines then score its shards.

    Raises InputError as `score_pool` does.
    """
    folder = open_folder(out)
    check_run(folder)
    job = Job.of(pool, ranker, reading, scoring)
    with folder.hold():
        return settle(folder, job, _existing(overwrite))


def gather(out: Out) -> RunReport:
    """End a run whose shards were scored: check that every chunk is there, join the set-aside rows, write run.json.

    Raises InputError naming the chunks that are missing.
    """
    folder = open_folder(out)
    plan = Plan.read(folder)
    if finished(folder):
        return finished_before(folder)
    with folder.hold():
        if finished(folder):
            return finished_before(folder)
        had = done(folder, plan)
        if left := [chunk.index for chunk in plan.chunks if chunk.index not in had.chunks]:
            first = ", ".join(map(str, left[:5])) + (", ..." if len(left) > 5 else "")
            raise InputError(
                f"{folder.place}: {len(left):,} of {len(plan.chunks):,} chunks are not done ({first}): "
                "score their shards again, or the rest with `scar score` without --shard"
            )
        return finish(folder, plan, RunReport.gathered(folder.place, had.counts, plan))


def finish(folder: Folder, plan: Plan, report: RunReport) -> RunReport:
    """Take the last steps of a run of which every chunk is done."""
    join_set_aside(folder, plan)
    write_summary(folder, summary(report))
    return report

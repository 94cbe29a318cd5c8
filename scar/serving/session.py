"""Score the chunks of a plan that are left, and commit each. Knows neither locks nor how a run begins and ends."""

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from scar.errors import RunError
from scar.pools import Chunk
from scar.pools.places import Local
from scar.runs import Folder, Plan, Shard
from scar.serving.before import before
from scar.serving.engines import versions
from scar.serving.job import Job
from scar.serving.ledger import Counts, commit, digest
from scar.serving.pipeline import Failed, Meter, Scored, Threads, read_chunks, where
from scar.serving.report import RunReport, Watch
from scar.serving.sidecar import count, laid_out, table, with_scores
from scar.serving.workers import Workers, share_out
from scar.settings import Cluster

log = logging.getLogger("scar")


@dataclass(frozen=True)
class Session:
    """One process that works on a run."""

    folder: Folder
    plan: Plan
    job: Job
    watch: Watch
    cluster: Cluster | None = None

    def score(self, shard: Shard | None = None) -> RunReport:
        """Score what is left of the run, or of a shard of it."""
        chunks = shard.of_chunks(self.plan.chunks) if shard else self.plan.chunks
        with before(self.folder, self.plan, chunks) as had:
            left = [chunk for chunk in chunks if chunk.index not in had.chunks]
            if had.chunks and left:
                log.info("going on: %d of %d chunks are done", len(had.chunks), len(chunks))
            self.watch.start(sum(chunk.rows for chunk in chunks), had.counts.rows)
            started, counts = time.perf_counter(), Counts()
            counts.add(had.counts)
            meter = self._score(left, counts)
            scored = time.perf_counter()
            lost = had.lost(counts)
            started += time.perf_counter() - scored  # to wait is not to score
            if again := [chunk for chunk in chunks if chunk.index in lost]:
                log.warning("%d chunks that have an entry are not whole: they are scored again", len(again))
                meter.add(self._score(again, counts))
        seconds = time.perf_counter() - started
        choice = {scorer.name: asdict(scorer.choice) for scorer in self.job.scorers}
        return RunReport(
            self.folder.place,
            counts,
            seconds,
            sum(chunk.rows for chunk in (*left, *again)),
            meter.padding,
            choice,
            already=shard is not None and not (left or again),
            versions=versions(),
            shard=shard,
            batch_tokens=meter.batch_tokens,
            embeddings=self.job.embeddings(),
        )

    def _score(self, left: Sequence[Chunk], counts: Counts) -> Meter:
        """Score chunks, adding to the counts as they are committed."""
        meter, fingerprint, failed = Meter(), digest(self.plan.fingerprint), list[Failed]()
        if not left:
            return meter
        if self.cluster:
            return self._score_beyond(left, counts)
        # Asked before each commit, of files that a glance is enough for.
        near = {file.name: file for file in self.job.files if isinstance(file.store, Local)}
        with closing(
            self._stage(len(left)).run(read_chunks(self.job.files, left, self.job.reader))
        ) as results:
            for scored in results:
                if isinstance(scored, Failed):
                    failed.append(_logged(scored))
                    continue
                if file := near.get(scored.chunk.file):
                    self.job.refuse_changed(file)
                meter.add(scored.meter)
                counts.add(commit_scored(self.folder, fingerprint, scored, self.job.scoring.carry))
                self.watch.chunk(counts)
        self._refuse_failed(failed)
        if len(near) < len(self.job.files):
            self.job.refuse_changed_pool()
        return meter

    def _score_beyond(self, left: Sequence[Chunk], counts: Counts) -> Meter:
        """Have chunks scored on a cluster, adding to the counts as its actors have committed them."""
        from scar.serving.cluster.on_ray import score_on_ray

        meter, chunks, failed = Meter(), {chunk.index: chunk for chunk in left}, list[Failed]()
        assert self.cluster
        with closing(score_on_ray(self.folder, self.plan, self.job, left, self.cluster)) as answers:
            for answer in answers:
                chunk = chunks[answer.chunk]
                if answer.left_out:
                    failed.append(_logged(Failed(chunk, answer.left_out)))
                    continue
                meter.add(answer.meter)
                counts.add(answer.counts)
                self.watch.batch(chunk.rows, answer.meter.tokens, answer.meter.padded)
                self.watch.chunk(counts)
        self._refuse_failed(failed)
        self.job.refuse_changed_pool()
        return meter

    def _refuse_failed(self, failed: Sequence[Failed]) -> None:
        """Raise RunError where chunks were left out, naming them."""
        if failed:
            chunks = ", ".join(str(each.chunk.index) for each in failed)
            raise RunError(
                f"{self.folder.place}: chunk {chunks} is not scored: {failed[0].why}; run the same command again"
            )

    def _stage(self, chunks: int) -> Workers | Threads:
        workers = self.job.scoring.workers
        if workers > chunks > 0:
            log.warning(
                "--workers %d: there are %d chunks, so some have nothing to do; give fewer --chunk_rows",
                workers,
                chunks,
            )
        if not workers:
            return Threads(self.job.crew, self.watch.batch)
        return Workers(self.job.specs(), share_out(workers), self.watch.batch, self.job.scoring.stall)


def _logged(failed: Failed) -> Failed:
    log.error("%s is not scored: %s", where(failed.chunk), failed.why)
    return failed


def commit_scored(folder: Folder, fingerprint: str, scored: Scored, carry: Sequence[str]) -> Counts:
    """Write a chunk's rows, while the engines run the chunks after it; `fingerprint` is the run's digest."""
    items, places = with_scores(scored.items, scored.scores, scored.embeddings)
    counts = count(items, places, scored.scores)
    sheet = table(items, places, scored.scores, carry)
    aside = [item.set_aside for item in items if item.set_aside]
    vectors = None if scored.embeddings is None else laid_out(items, places, scored.embeddings)
    commit(folder, scored.chunk.index, sheet, aside, counts, fingerprint, vectors)
    return counts

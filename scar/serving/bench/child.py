"""What runs in a contender's process: `python -m scar.serving.bench.child FOLDER`."""

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from scar.errors import InputError, RunError
from scar.pools import RowReader, find
from scar.runs import Plan, open_folder, read_columns
from scar.serving.bench.job import RESULT, RUN_FOLDER, SCORES, SPEC, Job, Timing
from scar.serving.bench.peers import PEERS
from scar.serving.bench.ways import WAYS
from scar.serving.crew import Crew
from scar.serving.engines.machine import peak_memory
from scar.serving.pipeline import Threads, read_chunks
from scar.serving.report import Unwatched
from scar.serving.run import score_pool
from scar.serving.scorer import Scorer
from scar.settings import Reading, Scoring


class _Tokens(Unwatched):
    """Counts what goes through the encoder."""

    def __init__(self) -> None:
        self.tokens = self.padded = 0

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        self.tokens += tokens
        self.padded += padded


def run(job: Job, folder: Path) -> Timing:
    """Score a pool as `scar score` does. Raises InputError where another engine than the one asked for ran."""
    tokens, scoring, out = _Tokens(), Scoring(**job.scoring), folder / RUN_FOLDER
    report = score_pool(
        job.pool, job.bundle, out, reading=Reading(**job.reading), scoring=scoring, watch=tokens
    )
    written = open_folder(out)
    plan = Plan.read(written)
    (name,) = plan.rankers
    _as_asked(scoring, report.choice[name])
    scores = np.concatenate([part[name].to_numpy() for part in read_columns(written, plan, [name])])
    np.save(folder / SCORES, scores)
    settings = {
        "batch_tokens": plan.fingerprint["ranker"][name]["batch_tokens"],
        "chunk_rows": plan.fingerprint["scoring"]["chunk_rows"],
    }
    # Records with a score, as the peers count them: a row may hold several, or none.
    rows = report.counts.scored
    assert report.seconds is not None  # None is of shards
    return Timing(report.seconds, rows, tokens.tokens, tokens.padded, rows_of_chunks(plan), settings)


def _as_asked(scoring: Scoring, choice: dict[str, str]) -> None:
    for name in ("engine", "precision"):
        if (asked := getattr(scoring, name)) not in ("auto", choice[name]):
            raise InputError(f"{asked} was asked for, and {choice[name]} ran")


def by_way(job: Job, folder: Path) -> Timing:
    """Read, tokenise and score a pool as a run does, its texts batched in another way; nothing is committed."""
    own = Scorer.load(job.bundle, Scoring(**job.scoring))
    scorer = Scorer(own.bundle, own.choice, own.encoder, WAYS[job.way](own.model), own.scoring, own.files)
    files, plan, tokens = find(job.pool), Plan.read(open_folder(job.like)), _Tokens()
    reader = RowReader(files, Reading(**job.reading))
    started = time.perf_counter()
    with closing(
        Threads(Crew([scorer]), tokens.batch).run(read_chunks(files, plan.chunks, reader))
    ) as chunks:
        scores = [chunk.scores[scorer.name].scores for chunk in chunks]
    seconds = time.perf_counter() - started
    found = np.concatenate(scores)
    np.save(folder / SCORES, found)
    return Timing(seconds, int(np.isfinite(found).sum()), tokens.tokens, tokens.padded, rows_of_chunks(plan))


def rows_of_chunks(plan: Plan) -> tuple[int, ...]:
    """Give the rows of each chunk."""
    return tuple(chunk.rows for chunk in plan.chunks)


def main(folder: Path) -> None:
    """Do the job of a folder, and leave what came of it there."""
    job = Job(**json.loads((folder / SPEC).read_bytes()))
    if job.way in PEERS:
        timing = PEERS[job.way](job, folder)
    else:
        timing = (run if job.way == "run" else by_way)(job, folder)
    (folder / RESULT).write_text(json.dumps(asdict(timing) | {"peak": peak_memory()}))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (InputError, RunError) as error:
        sys.exit(str(error))

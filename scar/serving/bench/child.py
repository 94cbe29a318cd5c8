"""What runs in a contender's process: `python -m scar.serving.bench.child FOLDER`."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np

from scar.errors import InputError
from scar.pools import RowReader, find, rows_of
from scar.records import Record
from scar.runs import Plan, read_columns
from scar.serving.bench.job import RESULT, RUN_FOLDER, SCORES, SPEC, Job, Timing
from scar.serving.bench.peers import PEERS
from scar.serving.bench.ways import WAYS
from scar.serving.run import Unwatched, score_pool
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
    plan = Plan.read(out)
    (name,) = plan.rankers
    _as_asked(scoring, report.choice[name])
    scores = np.concatenate([part[name].to_numpy() for part in read_columns(out, plan, [name])])
    np.save(folder / SCORES, scores)
    settings = {name: plan.fingerprint["scoring"][name] for name in ("batch_tokens", "chunk_rows")}
    chunks = tuple(chunk.rows for chunk in plan.chunks)
    return Timing(report.seconds, report.counts.rows, tokens.tokens, tokens.padded, chunks, settings)


def _as_asked(scoring: Scoring, choice: dict[str, str]) -> None:
    for name in ("engine", "precision"):
        if (asked := getattr(scoring, name)) not in ("auto", choice[name]):
            raise InputError(f"{asked} was asked for, and {choice[name]} ran")


def by_way(job: Job, folder: Path) -> Timing:
    """Read, tokenise and score a pool with its texts batched in another way; nothing is overlapped or committed."""
    scorer = Scorer.load(job.bundle, Scoring(**job.scoring))
    scorer = Scorer(scorer.bundle, scorer.choice, scorer.encoder, WAYS[job.way](scorer.model))
    tokens, scores = _Tokens(), []
    chunks = tuple(chunk.rows for chunk in Plan.read(Path(job.like)).chunks)
    started = time.perf_counter()
    for records in _records(job, chunks):
        scores.append(
            scorer.score_records(records, lambda real, padded: tokens.batch(0, real, padded)).scores
        )
    seconds = time.perf_counter() - started
    np.save(folder / SCORES, np.concatenate(scores))
    return Timing(seconds, sum(chunks), tokens.tokens, tokens.padded, chunks)


def _records(job: Job, chunks: Sequence[int]) -> Iterator[list[Record]]:
    files = find(job.pool)
    reader, rows = RowReader(files, Reading(**job.reading)), rows_of(files)
    for size in chunks:
        items = (item for row in islice(rows, size) for item in reader.parse(row).items)
        yield [item for item in items if isinstance(item, Record)]


def main(folder: Path) -> None:
    """Do the job of a folder, and leave what came of it there."""
    job = Job(**json.loads((folder / SPEC).read_bytes()))
    if job.way in PEERS:
        timing = PEERS[job.way](job, folder)
    else:
        timing = (run if job.way == "run" else by_way)(job, folder)
    result = {name: value for name, value in asdict(timing).items() if name != "peak"}
    (folder / RESULT).write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What nothing lost costs: seconds to commit a chunk beside scoring it, and to go on with a run of many chunks.

    python serve/bench_ledger.py POOL --ranker BUNDLE [--rows 4096] [--chunks 10000] [--store]

First the first rows of the pool are scored in chunks of the engine's own size, and one of these chunks is committed
again and again: serialised, checksummed, written, synced, renamed, entered. Then a run of `--chunks` chunks of 16 rows
is written, all but the last committed; `scar score` goes on with it, timed from its start to where it begins to score.
With `--store` that run stands on an S3, which is moto's server, a process of its own on this machine (extra `dev`).
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from scar.pools import find, rows_of
from scar.runs import Disk, Folder, Plan, open_folder
from scar.serving.answers import Scores
from scar.serving.job import Job
from scar.serving.ledger import digest
from scar.serving.pipeline import Meter, Scored, Threads, Work, read_chunks
from scar.serving.plan import settle
from scar.serving.session import commit_scored
from scar.settings import Scoring

TIMES = 30
SMALL = 16
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "us-east-1"}


def main() -> None:
    """Take both measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool")
    parser.add_argument("--ranker", required=True)
    parser.add_argument("--rows", type=int, default=4096, help="rows to score")
    parser.add_argument("--chunks", type=int, default=10_000, help="chunks of the run to go on with")
    parser.add_argument("--folder", help="where the runs are written: the disk that is measured")
    parser.add_argument(
        "--store", action="store_true", help="the run to go on with is on moto's S3, not on the disk"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.store:
            with store() as bucket:
                resuming(Path(folder), open_folder(f"{bucket}/resumed"), arguments)
            return
        committing(Path(folder), arguments.pool, arguments.ranker, arguments.rows)
        resuming(Path(folder), Disk(Path(folder) / "resumed"), arguments)


@contextmanager
def store() -> Iterator[str]:
    """Run moto's server beside this process, and give the URL of a bucket there."""
    import boto3
    from botocore.config import Config

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ |= {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            patient = Config(retries={"mode": "standard", "total_max_attempts": 10})  # until it listens
            boto3.client("s3", config=patient).create_bucket(Bucket="bucket")
            yield "s3://bucket"
        finally:
            server.terminate()


def committing(folder: Path, pool: str, ranker: str, rows: int) -> None:
    """Time scoring and committing of whole chunks."""
    job = Job.of(str(first_rows(folder / "some.jsonl", pool, rows)), ranker)
    plan, run = job.plan(), Disk(folder / "committed")
    settle(run, job, "resume")
    started, scored = time.perf_counter(), []
    with closing(
        Threads(job.crew, lambda *_: None).run(read_chunks(job.files, plan.chunks, job.reader))
    ) as results:
        for each in results:
            assert isinstance(each, Scored)
            scored.append(each)
    scoring = (time.perf_counter() - started) / rows
    mine, seconds = max(scored, key=lambda each: each.chunk.rows), []
    for _ in range(TIMES):
        started = time.perf_counter()
        commit_scored(run, digest(plan.fingerprint), mine, ())
        seconds.append(time.perf_counter() - started)
    commit, chunk = statistics.median(seconds), mine.chunk.rows
    print(f"scoring a chunk of {chunk:,} rows: {scoring * chunk:.2f} s ({1 / scoring:,.1f} rows/s)")
    spread = f"{min(seconds) * 1e3:.1f} to {max(seconds) * 1e3:.1f}"
    print(
        f"committing it, median of {TIMES}: {commit * 1e3:.1f} ms ({spread}): {commit / scoring / chunk:.3%}"
    )


def resuming(folder: Path, run: Folder, asked: argparse.Namespace) -> None:
    """Time how long it takes to go on with a run of many chunks."""
    chunks, ranker = asked.chunks, asked.ranker
    where = repeated_rows(folder / "many.jsonl", asked.pool, chunks * SMALL)
    job = Job.of(str(where), ranker, None, Scoring(chunk_rows=SMALL))
    plan = settle(run, job, "resume")
    for work in read_chunks(job.files, plan.chunks[:-1], job.reader):
        commit_scored(run, digest(plan.fingerprint), made_up(plan, work), ())
    command = [sys.executable, "-m", "scar", "score", str(where), "--ranker", ranker, "--out", run.place]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--chunk_rows", str(SMALL), "--log-json"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr
        for line in process.stderr:
            told = json.loads(line)
            if told.get("event") == "start":
                print(
                    f"{told['rows_before']:,} of {told['rows']:,} rows in {chunks:,} chunks were done: scoring begins "
                    f"after {time.perf_counter() - started:.2f} s"
                )
    print(
        f"the whole command, with the last chunk and the end of the run: {time.perf_counter() - started:.2f} s"
    )
    assert process.returncode == 0


def made_up(plan: Plan, work: Work) -> Scored:
    """Give a chunk numbers for scores: what they are does not change how they are read back."""
    n = len(work.records)
    scores = Scores(np.zeros(n, np.float32), np.ones(n, np.int32), np.zeros(n, bool))
    return Scored(work.chunk, work.items, {name: scores for name in plan.rankers}, Meter())


def first_rows(path: Path, pool: str, rows: int) -> Path:
    """Write the first rows of a pool as JSON Lines."""
    with open(path, "wb") as out:
        out.writelines(row.json() + b"\n" for row in islice(rows_of(find(pool)), rows))
    return path


def repeated_rows(path: Path, pool: str, rows: int) -> Path:
    """Write so many rows, those of the beginning again and again."""
    some = [row.json() + b"\n" for row in islice(rows_of(find(pool)), 1000)]
    with open(path, "wb") as out:
        out.writelines(some[number % len(some)] for number in range(rows))
    return path


if __name__ == "__main__":
    main()

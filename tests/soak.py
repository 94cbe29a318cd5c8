"""Kill `scar score` again and again and go on; every time it ends, its output must be that of an undisturbed run.

`make soak`, or: python -m tests.soak --kills 200 --seconds 600. Exits with 1 at the first loss.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.pools import Job, assert_invariant, entries, write_pool
from tests.faults.processes import Parent
from tests.make import tier_rows, tiny_encoder, write_jsonl

SIGNALS = [signal.SIGKILL] * 6 + [signal.SIGTERM] * 2 + [signal.SIGINT] + [signal.SIGUSR1]
CHUNK_ROWS = (2, 3, 5, 8)
ROWS = 200
WORKERS = [()] * 9 + [("--workers", 2, "--threads", 0)]
MOST_IN_A_ROW = 12
"""Kills before a run is left to end."""


def make_bundle(folder):
    """Train and export a ranker of one layer."""
    from scar.settings import StyleSettings
    from scar.training.export import export
    from scar.training.style.train import train_style

    encoder = tiny_encoder(folder / "encoder", layers=1)
    data = write_jsonl(folder / "tiers.jsonl", tier_rows(40, source="made"))
    settings = StyleSettings(
        encoder=str(encoder), max_tokens=32, head_width=16, epochs=1, lr=3e-3, batch_size=4
    )
    train_style(settings, data, folder / "style")
    export(folder / "style")
    return folder / "style"


class Soak:
    """Runs that are killed, and the references of what they must come to."""

    def __init__(self, bundle, folder, seed):
        self._folder, self._draw = folder, random.Random(seed)
        self._parent = Parent(folder / "processes")
        pool = write_pool(folder / "pool", ROWS)
        # Every other cut has embeddings too.
        self._jobs = {
            rows: Job(self._parent, pool, bundle, rows, ("--embeddings",) if number % 2 else ())
            for number, rows in enumerate(CHUNK_ROWS)
        }
        self._seconds = {}
        self.kills, self.ends, self.processes, self.chunks = Counter(), 0, 0, 0

    def references(self):
        """Make an undisturbed run of every cut."""
        for rows, job in self._jobs.items():
            began = time.monotonic()
            done = job.run(self._reference(rows))
            assert done.code == 0, done
            self._seconds[rows] = time.monotonic() - began

    def _reference(self, rows):
        return self._folder / f"reference-{rows}"

    def once(self):
        """Kill one run until it ends, and compare."""
        rows = self._draw.choice(CHUNK_ROWS)
        job, run = self._jobs[rows], self._folder / "run"
        most = self._draw.randrange(1, MOST_IN_A_ROW)
        killed = 0
        while self._killed(job, run, rows) if killed < most else self._ended(job, run):
            killed += 1
        assert_invariant(job, run, self._reference(rows))
        left = [
            path.name for path in run.iterdir() if path.name.startswith(".") and path.name != ".inputs.json"
        ]
        assert left == [], left
        self.ends += 1
        self.chunks += entries(run)
        shutil.rmtree(run)

    def _killed(self, job, run, rows):
        """Start, wait for a random moment, send a signal; tell whether the run was under way."""
        process = job.start(run, *self._draw.choice(WORKERS))
        self.processes += 1
        time.sleep(self._draw.random() * self._seconds[rows])
        number = self._draw.choice(SIGNALS)
        process.send(number)
        done = process.wait()
        assert done.code in (0, 128 + number, -number), done
        assert "Traceback" not in done.err, done
        if done.code:
            self.kills[number.name] += 1
        return done.code != 0

    def _ended(self, job, run):
        self.processes += 1
        done = job.run(run)
        assert done.code == 0, done
        return False

    def close(self):
        """End the parent of the processes."""
        self._parent.close()


def soak(bundle, folder, kills, seconds, seed):
    """Go on until so many kills were survived, or the time is over; gives what was done. AssertionError is a loss."""
    all_of_it = Soak(bundle, folder, seed)
    began = time.monotonic()
    try:
        all_of_it.references()
        while sum(all_of_it.kills.values()) < kills and time.monotonic() - began < seconds:
            all_of_it.once()
    finally:
        all_of_it.close()
    return all_of_it


def main():
    """Read the flags, soak, and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scar-soak") as temp:
        bundle = make_bundle(Path(temp))
        try:
            done = soak(bundle, Path(temp), given.kills, given.seconds, given.seed)
        except AssertionError as loss:
            print(f"LOST, with --seed {given.seed}: {loss}")
            return 1
    kills, by = sum(done.kills.values()), ", ".join(f"{number} {name}" for name, number in done.kills.items())
    print(f"{kills} kills survived ({by}) in {done.processes} processes")
    print(f"{done.ends} runs of {ROWS} rows, {done.chunks} chunks, ended byte for byte as undisturbed ones")
    print(f"{time.monotonic() - began:.0f} s, seed {given.seed}")
    return 0 if kills >= given.kills else 1


if __name__ == "__main__":
    sys.exit(main())

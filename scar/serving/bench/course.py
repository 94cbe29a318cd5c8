"""What is timed, and where: the rows in a folder, a job for each contender, a folder for each of its rounds."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scar.bundle import Bundle
from scar.errors import InputError, RunError
from scar.serving.bench.contenders import Contender, chosen, failed, possible
from scar.serving.bench.job import RUN_FOLDER, Job, Timing, timed
from scar.serving.bench.peers import BATCH_SIZES, LIBRARIES, installed, peer_of
from scar.serving.bench.sample import write_sample
from scar.settings import BenchSettings, Reading

log = logging.getLogger("scar")
LOOK = 64
"""Rows of the first look: can a contender run."""
PEER_LOOK = 256
"""Records by which a peer's best batch size is found: it sorts by length, so a few would favour small ones."""
WAYS = {"arrival": "in order of arrival", "anew": "each text anew"}
"""Other ways to batch, and how they are called in tables."""


@dataclass(frozen=True)
class Course:
    """What holds for all timings."""

    bundle: Bundle
    folder: Path
    settings: BenchSettings
    reading: Reading

    @property
    def pool(self) -> Path:
        """The rows."""
        return self.folder / "pool.jsonl"

    def job(self, scoring: Mapping[str, Any], pool: Path | None = None) -> Job:
        """Make the job of scoring a file, by default all the rows."""
        scoring = {"device": self.settings.device, "threads": self.settings.threads, **scoring}
        return Job(
            str(self.bundle.path), str(pool or self.pool), scoring=scoring, reading=asdict(self.reading)
        )

    def timer(self, name: str, job: Job) -> Callable[[int], Timing]:
        """Give what times a job in a round."""
        return lambda number: timed(job, self.place(name, number))

    def place(self, name: str, number: int) -> Path:
        """Give the folder of a contender's round."""
        return self.folder / name.replace("/", "-") / str(number)

    def look(self, name: str, job: Job, rows: int = LOOK) -> Timing:
        """Time a job on a few rows only."""
        few = self.folder / "look.jsonl"
        write_sample(self.pool, rows * job.every, few)
        return timed(replace(job, pool=str(few)), self.folder / f"look-{name.replace('/', '-')}")

    def runs(self) -> tuple[dict[str, Job], dict[str, str]]:
        """Give the contenders that run here, and of the others why not.

        Raises InputError where one that was asked for by name does not, or none does.
        """
        asked = self.settings.contenders
        jobs: dict[str, Job] = {}
        left_out: dict[str, str] = {}
        for one in chosen(possible(self.bundle, self.settings.device), asked):
            if why := failed(self.bundle, one) or self._cannot(one):
                left_out[one.name] = why
                log.info("%s is left out: %s", one.name, why)
            else:
                jobs[one.name] = self.job(one.scoring)
        if left_out and (asked or not jobs):
            name, why = next(iter(left_out.items()))
            raise InputError(f"{name} cannot be timed: {why}")
        return jobs, left_out

    def _cannot(self, contender: Contender) -> str:
        """Try a contender; gives the reason where it does not run."""
        try:
            self.look(contender.name, self.job(contender.scoring))
        except RunError as error:
            return str(error)
        return ""

    def ways(self, runs: Mapping[str, Job]) -> dict[str, Callable[[int], Timing]]:
        """Give what times the first contender with its texts batched otherwise, in the chunks of its own run."""
        first, job = next(iter(runs.items()))
        ways = [way for way in WAYS if way != "anew" or self.bundle.graphs.beside]
        return {way_name(first, way): self._way(first, way, job) for way in ways}

    def _way(self, first: str, way: str, job: Job) -> Callable[[int], Timing]:
        def timer(number: int) -> Timing:
            like = str(self.place(first, number) / RUN_FOLDER)
            return timed(replace(job, way=way, like=like), self.place(way_name(first, way), number))

        return timer

    def peer(self) -> tuple[dict[str, Job], str]:
        """Give the peer of the bundle's kind at its best batch size, and what is to be said of it."""
        peer = peer_of(self.bundle.kind)
        if not installed(peer):
            return {}, f"{peer}: not installed ({LIBRARIES[peer]}), so not timed"
        job = replace(self.job({}), way=peer, every=self.settings.every)
        rows = f"one record in {self.settings.every}" if self.settings.every > 1 else "the same records"
        if peer == "scar-tool":
            try:
                self.look(peer, job)
            except RunError as error:
                return {}, f"{peer}: does not run here ({error}), so not timed"
            return {peer: job}, f"{peer}: {rows}, batches of 32, loaded and warm"
        if self.bundle.ranker["text"]["inputs"] != "pair":
            return {}, f"{peer}: this ranker sees one text of each row, a CrossEncoder two: not timed"
        sized = {size: replace(job, batch_size=size) for size in BATCH_SIZES}
        speeds = {
            size: self.look(f"{peer} {size}", one, PEER_LOOK).rows_per_second for size, one in sized.items()
        }
        best = max(speeds, key=lambda size: speeds[size])
        told = ", ".join(f"{size}: {speed:.1f} rows/s" for size, speed in speeds.items())
        return {peer: sized[best]}, f"{peer}: {rows}, batches of {best}, the best of a first look ({told})"


def way_name(contender: str, way: str) -> str:
    """Name a contender with its texts batched otherwise."""
    return f"{contender}, {WAYS[way]}"

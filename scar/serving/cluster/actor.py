"""What an actor does with a chunk: read, score and commit it, by the same two steps as any run. Knows no Ray."""

import os
import platform
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from scar.bundle import Bundle
from scar.errors import InputError, RunError
from scar.pools import Chunk
from scar.pools.places import Local
from scar.runs import Disk, Folder, entry_name, open_folder
from scar.serving.choice import Choice, look
from scar.serving.cluster.order import Answer, Order, holder
from scar.serving.job import Job
from scar.serving.ledger import Counts, Entry
from scar.serving.pipeline import Failed, Meter, Scored, Threads, Work, read_chunks
from scar.serving.plan import differing
from scar.serving.session import commit_scored
from scar.serving.workers import Share, Workers
from scar.settings import Scoring

HOST = platform.node()
T = TypeVar("T")


@dataclass
class Actor:
    """Scores chunks for a driver; several threads may ask at once."""

    order: Order

    def __post_init__(self) -> None:
        """Open nothing yet: what fails here would be tried again for ever."""
        self._opening = threading.Lock()

    def score(self, chunk: Chunk) -> Answer:
        """Score and commit a chunk; the errors meant for the user come back, all others are raised."""
        return self._told(self._score, chunk)

    def had(self, chunk: Chunk) -> Answer | None:
        """Give the answer of a chunk that an attempt before has committed, None where there is none."""
        return self._told(self._had, chunk)

    def _told(self, ask: Callable[[Chunk], T], chunk: Chunk) -> T | Answer:
        try:
            return ask(chunk)
        except InputError as error:
            return Answer(chunk.index, Counts(), Meter(), f"on {HOST}: {error}", True)
        except (RunError, OSError) as error:
            return Answer(chunk.index, Counts(), Meter(), f"on {HOST}: {error}")

    def _score(self, chunk: Chunk) -> Answer:
        with self._opening:
            job, folder, worker = self.job, self.folder, self.worker
        self._refuse_other_owner(folder)
        # A retry, after an attempt that had just committed, has nothing left to do.
        if answer := self._had(chunk):
            return answer
        (work,) = read_chunks(job.files, [chunk], job.reader)
        scored = worker.score(work) if worker else self._scored_here(work)
        if isinstance(scored, Failed):
            return Answer(chunk.index, Counts(), Meter(), left_out=f"on {HOST}: {scored.why}")
        file = next(file for file in job.files if file.name == chunk.file)
        if isinstance(file.store, Local):
            job.refuse_changed(file)
        self._refuse_other_owner(folder)
        counts = commit_scored(folder, self.order.digest, scored, job.scoring.carry)
        return Answer(chunk.index, counts, scored.meter)

    def _scored_here(self, work: Work) -> Scored:
        with closing(Threads(self.job.crew, _ignore).run([work])) as results:
            (scored,) = results
        return scored

    def _had(self, chunk: Chunk) -> Answer | None:
        (raw,) = self.folder.read_all([entry_name(chunk.index)])
        entry = Entry.read(raw, chunk.index, self.order.digest)
        return Answer(chunk.index, entry.counts, Meter()) if entry and _is_whole(self.folder, entry) else None

    @cached_property
    def folder(self) -> Folder:
        """The run folder; on a disk a retry may write beside an attempt that is not quite dead."""
        place = self.order.folder
        return open_folder(place) if "://" in place else Disk(Path(place), uuid.uuid4().hex[:8])

    @cached_property
    def job(self) -> Job:
        """The driver's job on this machine. Raises InputError where it is not the same here."""
        order = self.order
        # The tokenizers library counts the machine's processors, not ours.
        os.environ["RAYON_NUM_THREADS"] = str(order.threads)
        scoring = replace(order.scoring, threads=order.threads, workers=0)
        job = Job.of(order.pool, order.bundles, order.reading, scoring, order.choices)
        _refuse_other_pool(order, job)
        for bundle, choice in zip(job.opened, order.choices, strict=True):
            refuse_ungated(bundle, choice, order.scoring)
        # With a worker it is the worker that loads them, and looks at the files again.
        settled = job.settled if order.scoring.workers else ()
        if field := differing(order.depends, job.depends(settled)):
            raise InputError(
                f"{field} differs from the driver's: every machine needs the same bundles and libraries"
            )
        return job

    @cached_property
    def worker(self) -> Workers | None:
        """The process that scores in this one's place, under its watch; None where none was asked for."""
        if not self.order.scoring.workers:
            return None
        # An actor has as many processors as it asked for, but Ray does not say which.
        share = Share(self.order.threads)
        return Workers(self.job.specs(), [share], _ignore, self.order.scoring.stall).begin()

    def _refuse_other_owner(self, folder: Folder) -> None:
        """Raise RunError where the driver does not hold the run any more: it died, and another goes on in its place."""
        if holder(folder) != self.order.holder:
            pid, host, *_ = self.order.holder
            raise RunError(
                f"{folder.place} is not held by the driver, pid {pid} on {host}: another process has taken it over, or "
                "it is no folder that all machines share"
            )


def _refuse_other_pool(order: Order, job: Job) -> None:
    if {file.name for file in job.files} != set(order.files):
        names = {file.name for file in job.files} ^ set(order.files)
        raise InputError(f"the pool here is another than the driver's: {min(names)}")
    for file in job.files:
        stamp, *facts = order.files[file.name]
        # What is the driver's own file, on a disk that both see, need not be hashed.
        if file.stamp() != stamp and list(file.facts()) != facts:
            raise InputError(f"{file.place}: not the file that was planned: copy it here again, or share it")


def refuse_ungated(bundle: Bundle, choice: Choice, scoring: Scoring) -> None:
    """Raise InputError where reduced precision that the driver chose has no gate that passed on this machine."""
    if choice.precision == "fp32":
        return
    ways = ((judged, judged.candidate) for judged in look(bundle, scoring))
    asked = (choice.engine, choice.precision, choice.graph)
    found = [judged for judged, way in ways if (way.engine, way.precision, way.graph) == asked]
    if not any(judged.passed for judged in found):
        lack = next(
            (f", only one with another {judged.elsewhere}" for judged in found if judged.elsewhere), ""
        )
        raise InputError(
            f"{bundle.path}: {choice.engine} {choice.precision} has no gate that passed on this machine{lack}: "
            "run `scar gate` here, or score with --precision fp32"
        )


def _is_whole(folder: Folder, entry: Entry) -> bool:
    rooms = {name.rpartition("/")[0] for name in entry.files}
    sizes: dict[str, int] = {}
    for room in rooms:
        sizes |= {name: file.bytes for name, file in folder.listing(room).items()}
    return all(sizes.get(name) == file["bytes"] for name, file in entry.files.items())


def _ignore(rows: float, tokens: int, padded: int) -> None:
    """Leave batches to the driver's chunks."""

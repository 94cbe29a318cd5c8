"""What a driver gives its actors, and what they answer. Knows no engine that schedules."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from scar.errors import InputError, RunError
from scar.pools import Chunk
from scar.runs import LOCK, Folder, Plan
from scar.serving.choice import Choice
from scar.serving.job import Job
from scar.serving.ledger import Counts
from scar.serving.pipeline import Meter
from scar.settings import Reading, Scoring

Holder = tuple[Any, ...]
"""Who a lock says its owner is; of a lease also of which time."""


@dataclass(frozen=True)
class Order:
    """All that an actor needs to score chunks as the driver would, anywhere."""

    pool: tuple[str, ...]
    files: Mapping[str, tuple[str, int, str]]
    """Name -> the stamp that the driver sees; size and hash as planned."""
    bundles: tuple[str, ...]
    reading: Reading
    scoring: Scoring
    threads: int
    """Of each actor, or of its worker."""
    choices: tuple[Choice, ...]
    depends: Mapping[str, Any]
    """The plan's fingerprint, but for the pool."""
    digest: str
    """Hash of the whole of it, for the ledger."""
    folder: str
    """Path or URL."""
    holder: Holder

    @classmethod
    def of(cls, job: Job, plan: Plan, folder: Folder, digest: str, threads: int) -> "Order":
        """Write down what the driver has settled; paths become absolute, the same on every machine."""
        depends = {name: value for name, value in plan.fingerprint.items() if name != "pool"}
        gates = job.scoring.gates and str(Path(job.scoring.gates).absolute())
        embeddings = str(job.encoder.path.absolute()) if job.encoder else job.scoring.embeddings
        held = holder(folder)
        if held is None:
            raise RunError(f"{folder.place}: nobody holds its lock")
        return cls(
            job.pool,
            {file.name: (job.stamps[file.name], file.bytes, file.sha256) for file in plan.files},
            tuple(str(bundle.path.absolute()) for bundle in job.bundles),
            job.reader.reading,
            replace(job.scoring, gates=gates, embeddings=embeddings),
            job.scoring.threads or threads,
            tuple(model.choice for model in job.crew.models),
            depends,
            digest,
            folder.place if "://" in folder.place else str(Path(folder.place).absolute()),
            held,
        )


@dataclass(frozen=True)
class Answer:
    """What became of a chunk: its counts once committed, why it is left out, or the error that ends the run."""

    chunk: int
    counts: Counts
    meter: Meter
    error: str = ""
    is_input: bool = False
    """Whether the error is the user's."""
    left_out: str = ""
    """Why the chunk is not scored, though others can be."""
    log: tuple[tuple[int, str], ...] = ()
    """Levels and lines of what was logged since the answer before."""

    def written(self) -> str:
        """Give it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Answer":
        """Read it back."""
        raw = json.loads(text)
        counts, meter = Counts.of(raw["counts"]), Meter(**raw["meter"])
        log = tuple((level, line) for level, line in raw["log"])
        return cls(**raw | {"counts": counts, "meter": meter, "log": log})

    def refuse_error(self) -> None:
        """Raise the actor's error as that of the driver."""
        if self.error:
            raise (InputError if self.is_input else RunError)(self.error)


def chunk_of(text: str) -> Chunk:
    """Read a chunk that was written as JSON."""
    return Chunk(**json.loads(text))


def holder(folder: Folder) -> Holder | None:
    """Say who holds a run folder, by what stands in its lock; None where that is not to be read."""
    (content,) = folder.read_all([LOCK])
    try:
        note = json.loads(content or b"")
        return tuple(note.get(name) for name in ("pid", "host", "since", "token"))
    except (ValueError, AttributeError):
        return None

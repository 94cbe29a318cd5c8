"""One timing in a process of its own: nothing that another contender loaded, warmed or allocated is in it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scar.errors import RunError

SPEC, RESULT, SCORES, RUN_FOLDER = "job.json", "result.json", "scores.npy", "run"


@dataclass(frozen=True)
class Job:
    """What a process does with a pool."""

    bundle: str
    pool: str
    way: str = "run"
    """`run` is `scar score`; the others are named in `ways.py` and `peers.py`."""
    scoring: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    like: str = ""
    """A run folder whose chunks the ways take: they plan none."""
    batch_size: int = 0
    """Rows of a batch, for the peers."""
    every: int = 1
    """Take each so manieth record, for the peers."""


@dataclass(frozen=True)
class Timing:
    """What came of a job, loading and planning not on the clock."""

    seconds: float
    rows: int
    tokens: int = 0
    """Real tokens that went through the encoder."""
    padded: int = 0
    """The same with padding."""
    chunks: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`batch_tokens` and `chunk_rows` as the run had them."""
    peak: int = 0
    """Most memory of the process at a time, resident, bytes."""

    @property
    def rows_per_second(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def padding(self) -> float:
        """Share of the tokens that were padding."""
        return 1 - self.tokens / self.padded if self.padded else 0.0


def timed(job: Job, folder: Path) -> Timing:
    """Do a job in a process of its own; its scores stand in `folder` afterwards.

    Raises RunError with the last line that the process said where it failed.
    """
    folder.mkdir(parents=True)
    (folder / SPEC).write_text(json.dumps(asdict(job)))
    with open(folder / "told.txt", "w+b") as told:
        command = [sys.executable, "-m", "scar.serving.bench.child", str(folder)]
        # Waits, and ends the process where this one is interrupted.
        process = subprocess.run(command, stdout=told, stderr=told)
        told.seek(0)
        lines = told.read().decode(errors="replace").split("\n")
    if process.returncode:
        last = next((line for line in reversed(lines) if line.strip()), f"exit code {process.returncode}")
        raise RunError(last.strip())
    result = json.loads((folder / RESULT).read_bytes())
    return Timing(**{**result, "chunks": tuple(result["chunks"])})

"""How far a run is: read from its plan, its ledger and its locks, without touching any of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from scar.runs import LEDGER, Folder, Plan, finished, open_folder
from scar.runs.lock import Owner
from scar.serving.ledger import Counts, done

RECENT = 20
"""Chunks that tell the rate."""
PAUSE, TIMES = 600.0, 10
"""A gap of so many seconds, and so many times the third longest one, is no work: two such are seen among the chunks."""


@dataclass(frozen=True)
class Status:
    """Where a run stands."""

    run: str
    chunks: int
    chunks_done: int
    rows: int
    counts: Counts
    """Of the chunks that are done."""
    finished: bool
    owners: tuple[Owner, ...]
    """Who writes to it now."""
    rows_per_second: float | None
    """Of the last chunks, by the times of their entries, all processes together; None where fewer than two
    are done since whoever works on it began, or since nobody worked on it."""

    @property
    def rows_left(self) -> int:
        """Input rows that are not done."""
        return self.rows - self.counts.rows

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at that rate; None where nobody works on it."""
        return self.rows_left / self.rows_per_second if self.owners and self.rows_per_second else None


def status(run: str | Path | Folder) -> Status:
    """Say where a run stands. Raises InputError where the folder is none."""
    folder = open_folder(run)
    plan = Plan.read(folder)
    had, owners = done(folder, plan), tuple(folder.owners())
    return Status(
        folder.place,
        len(plan.chunks),
        len(had.chunks),
        plan.rows,
        had.counts,
        finished(folder),
        owners,
        _rate(folder, plan, min(map(_began, owners), default=0.0)),
    )


def _began(owner: Owner) -> float:
    """Give the time since when somebody works on it; 0 where that is not known."""
    try:
        return datetime.fromisoformat(owner.since).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _rate(folder: Folder, plan: Plan, began: float) -> float | None:
    rows = [chunk.rows for chunk in plan.chunks]
    ended = sorted(
        (file.modified, rows[number])
        for name, file in folder.listing(LEDGER).items()
        if (number := _number(name)) < len(rows) and file.modified >= began
    )[-RECENT - 1 :]
    ended = ended[_since_pause([when for when, _ in ended]) :]
    if len(ended) < 2 or ended[-1][0] <= ended[0][0]:
        return None
    return sum(count for _, count in ended[1:]) / (ended[-1][0] - ended[0][0])


def _since_pause(times: Sequence[float]) -> int:
    """Give the index of the first time after the last pause.

    Not told by the median: processes that began together end their chunks together, which makes most gaps short.
    """
    gaps = [after - before for before, after in pairwise(times)]
    longest = max([PAUSE, *(TIMES * gap for gap in sorted(gaps)[-3:][:1])])
    return max((index for index, gap in enumerate(gaps, 1) if gap > longest), default=0)


def _number(name: str) -> int:
    """Give a chunk's number; that of no chunk, where a file is not of ours."""
    stem = name.removeprefix(f"{LEDGER}/").removesuffix(".json")
    return int(stem) if stem.isdecimal() and stem.isascii() else 1 << 62

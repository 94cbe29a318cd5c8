"""The progress bar of a run: rows/s, tokens/s, padding, ETA. Silent where nobody watches."""

import sys
import time
from dataclasses import asdict
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from scar.cli import logs
from scar.serving.ledger import Counts


class Drawn:
    """A bar on standard error, where that is a terminal; for the block in which it is opened."""

    def __init__(self, *columns: ProgressColumn) -> None:
        """Make the bar of its columns; it shows from the first task."""
        self._progress = Progress(
            *columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True
        )
        self._task: TaskID | None = None
        self._started = 0.0

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._progress.stop()


def watched() -> "Bar | Told":
    """Watch a run for people, or with `--log-json` for machines."""
    return Told() if logs.for_machines() else Bar()


class Told:
    """Watches a run and logs each chunk as JSON."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def start(self, rows: int, before: int = 0) -> None:
        """Tell how many rows there are."""
        logs.event("start", {"rows": rows, "rows_before": before})

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Leave batches out: a chunk is often enough."""

    def chunk(self, counts: Counts) -> None:
        """Tell what is committed."""
        logs.event("chunk", asdict(counts))


class Bar(Drawn):
    """Watches a run."""

    def __init__(self) -> None:
        """Make the bar; it shows from the first batch."""
        super().__init__(
            TextColumn("[bold]scoring"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[aside]}"),
        )
        self._rows = 0.0
        self._before = 0
        self._tokens = 0
        self._padded = 0

    def start(self, rows: int, before: int = 0) -> None:
        """Learn how many rows there are, and how many were done before."""
        self._started, self._before = time.perf_counter(), before
        self._task = self._progress.add_task("", total=rows, completed=before, speed="", aside="")

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Draw what a batch added."""
        if self._task is None:
            return
        self._rows, self._tokens, self._padded = (
            self._rows + rows,
            self._tokens + tokens,
            self._padded + padded,
        )
        seconds = max(1e-9, time.perf_counter() - self._started)
        padding = 1 - self._tokens / self._padded if self._padded else 0.0
        speed = f"{self._rows / seconds:,.1f} rows/s  {self._tokens / seconds:,.0f} tokens/s  padding {padding:.1%}"
        self._progress.update(self._task, completed=self._before + self._rows, speed=speed)

    def chunk(self, counts: Counts) -> None:
        """Draw what is committed."""
        if self._task is None:
            return
        aside = sum(counts.set_aside.values())
        self._progress.update(self._task, aside=f"{aside} set aside" if aside else "")

"""What a run tells: whoever watches it, and the summary at its end. Knows no engine."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from scar.serving.ledger import Counts
from scar.serving.plan import read_summary


class Watch(Protocol):
    """Whoever watches a run: a progress bar."""

    def start(self, rows: int) -> None:
        """Learn how many input rows there are."""

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Learn that a batch is done: its share of the rows, its tokens, and these with padding.

        The numbers are negative where what was told must be done again: a worker died.
        """

    def chunk(self, counts: Counts) -> None:
        """Learn that a chunk is committed."""


class Unwatched:
    """Watches nothing."""

    def start(self, rows: int) -> None:
        """Ignore the size."""

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Ignore a batch."""

    def chunk(self, counts: Counts) -> None:
        """Ignore a chunk."""


@dataclass(frozen=True)
class RunReport:
    """What a run did; `run.json` holds the same."""

    run: Path
    counts: Counts
    seconds: float
    padding: float
    """Share of the tokens that were padding."""
    choice: dict[str, dict[str, str]]
    """Ranker -> its graph, engine and precision, and why."""
    already: bool = False
    """True where the run was finished before."""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float:
        """Input rows a second, planning and loading left out."""
        return self.counts.rows / self.seconds if self.seconds else 0.0


def summary(report: RunReport) -> dict[str, Any]:
    """Give what stands in run.json."""
    return {
        **asdict(report.counts),
        "seconds": round(report.seconds, 3),
        "rows_per_second": round(report.rows_per_second, 2),
        "padding": round(report.padding, 4),
        "choice": report.choice,
        "versions": report.versions,
    }


def finished_before(run: Path) -> RunReport:
    """Give the report of a run that was finished before."""
    old = read_summary(run)
    counts = Counts(**{f.name: old[f.name] for f in fields(Counts)})
    return RunReport(run, counts, old["seconds"], old["padding"], old["choice"], True, old["versions"])

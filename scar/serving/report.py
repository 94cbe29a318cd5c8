"""What a run tells: whoever watches it, and the summary at its end. Knows no engine."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from scar.errors import InputError
from scar.runs import EMBEDDINGS, RUN, Folder, Plan, Shard
from scar.runs.checked import checked, read_checked
from scar.runs.plan import read_of
from scar.serving.ledger import Counts


class Watch(Protocol):
    """Whoever watches a run: a progress bar."""

    def start(self, rows: int, before: int = 0) -> None:
        """Learn how many input rows there are, and how many of them were done before."""

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Learn that a batch is done: its share of the rows, its tokens, and these with padding.

        The numbers are negative where what was told must be done again: a worker died.
        """

    def chunk(self, counts: Counts) -> None:
        """Learn that a chunk is committed, and what became of all rows so far."""


class Unwatched:
    """Watches nothing."""

    def start(self, rows: int, before: int = 0) -> None:
        """Ignore the size."""

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Ignore a batch."""

    def chunk(self, counts: Counts) -> None:
        """Ignore a chunk."""


@dataclass(frozen=True)
class RunReport:
    """What a run did; `run.json` holds the same."""

    run: str
    """Path or URL of the run folder."""
    counts: Counts
    """Of the whole run, or of the whole shard, however often it was begun."""
    seconds: float | None
    """Of the last time that it was begun: reading to committing, without planning (with workers: with their start).
    None where others scored the run, as its shards: nobody measured them all."""
    rows_scored: int
    """Input rows that were done in these seconds."""
    padding: float | None
    """Share of the tokens that were padding; None as the seconds."""
    choice: dict[str, dict[str, str]]
    """Ranker -> its graph, engine and precision, and why."""
    already: bool = False
    """True where the run was finished before."""
    versions: dict[str, str] = field(default_factory=dict)
    batch_tokens: dict[str, int] = field(default_factory=dict)
    """Ranker -> most tokens of a batch at the end: fewer than planned where memory ran out."""
    shard: Shard | None = None
    """The part that was scored, where it was not the whole."""
    embeddings: dict[str, Any] | None = None
    """Whose they are (`of`), how many numbers each has (`width`), and what an encoder ran on; None without any."""

    @classmethod
    def gathered(cls, run: str, counts: Counts, plan: Plan) -> "RunReport":
        """Make the report of a run that others scored: its time is theirs."""
        choice = {
            name: {each: str(facts[each]) for each in ("graph", "engine", "precision")} | {"why": "planned"}
            for name, facts in plan.fingerprint.get("ranker", {}).items()
        }
        embeddings = plan.fingerprint.get(EMBEDDINGS)
        if embeddings:
            told = ("of", "width", "graph", "engine", "precision")
            embeddings = {name: embeddings[name] for name in told if name in embeddings}
        versions = dict(plan.fingerprint.get("versions", {}))
        return cls(run, counts, None, 0, None, choice, versions=versions, embeddings=embeddings)

    @property
    def rows_before(self) -> int:
        """Input rows that were done before."""
        return self.counts.rows - self.rows_scored

    @property
    def rows_per_second(self) -> float | None:
        """Input rows a second; None where the seconds are not known."""
        if self.seconds is None:
            return None
        return self.rows_scored / self.seconds if self.seconds else 0.0


def summary(report: RunReport) -> dict[str, Any]:
    """Give what stands in run.json."""
    return {
        **asdict(report.counts),
        "seconds": _rounded(report.seconds, 3),
        "rows_scored": report.rows_scored,
        "rows_before": report.rows_before,
        "rows_per_second": _rounded(report.rows_per_second, 2),
        "padding": _rounded(report.padding, 4),
        "choice": report.choice,
        "batch_tokens": report.batch_tokens,
        "versions": report.versions,
        **({"embeddings": report.embeddings} if report.embeddings else {}),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def write_summary(folder: Folder, values: dict[str, Any]) -> None:
    """Write run.json: the run's last step."""
    with folder.writing(RUN) as stream:
        stream.write(checked(json.dumps(values, indent=2, ensure_ascii=False)))


def counts_before(folder: Folder) -> Counts:
    """Give what run.json counts, whoever wrote it. Raises InputError where it is damaged."""
    raw = read_of(folder, RUN, "the run did not finish")
    try:
        return Counts.of(read_checked(raw))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder.place}/{RUN}: damaged ({error})") from None


def finished_before(folder: Folder) -> RunReport:
    """Give the report of a run that was finished before. Raises InputError where run.json is damaged."""
    raw = read_of(folder, RUN, "the run did not finish")
    try:
        old = read_checked(raw)
        return RunReport(
            folder.place,
            Counts.of(old),
            seconds=_number(old["seconds"]),
            rows_scored=int(old["rows_scored"]),
            padding=_number(old["padding"]),
            choice=dict(old["choice"]),
            already=True,
            versions=dict(old["versions"]),
            batch_tokens=dict(old["batch_tokens"]),
            embeddings=dict(old["embeddings"]) if "embeddings" in old else None,
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"{folder.place}/{RUN}: damaged ({error}): `scar verify {folder.place}` makes it anew"
        ) from None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)

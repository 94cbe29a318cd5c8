"""Score a pool: read ahead, tokenise, batch, run, commit chunk by chunk. Memory holds a few chunks, never the pool."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from scar.errors import RunError
from scar.files import write_json
from scar.pools import Chunk, Place, PoolFile, RowReader, find, recorded, rows_of
from scar.records import Record
from scar.runs import RUN, Plan
from scar.serving.answers import Encoded, Scores, encode_records
from scar.serving.engines import versions
from scar.serving.ledger import Counts, commit, join_set_aside
from scar.serving.plan import check_run, claim, make_plan, read_summary
from scar.serving.rankers import Rankers, check_carried, open_bundles
from scar.serving.scorer import Scorer
from scar.serving.sidecar import Item, count, table, with_scores
from scar.settings import Reading, Scoring

T = TypeVar("T")
READ_AHEAD = 2
"""Chunks that wait, tokenised, for the engine."""
MOST_NON_FINITE = 0.01


class Watch(Protocol):
    """Whoever watches a run: a progress bar."""

    def start(self, rows: int) -> None:
        """Learn how many input rows there are."""

    def batch(self, rows: float, tokens: int, padded: int) -> None:
        """Learn that a batch is done: its share of the rows, its tokens, and these with padding."""

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


def score_pool(
    pool: Place | Sequence[Place],
    ranker: Rankers,
    out: str | Path,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> RunReport:
    """Score every record of a pool into the run folder `out`: a sidecar of scores, never a rewrite of the text.

    Several rankers score in one pass: each text is read once, and tokenised once for each distinct tokenizer.
    Raises InputError where the pool, the bundle or the folder is not usable, RunError where the scores are not.
    """
    reading, scoring, watch, run = reading or Reading(), scoring or Scoring(), watch or Unwatched(), Path(out)
    files = find(pool)
    check_run(run)
    reader = RowReader(files, reading, scoring.carry)
    bundles = open_bundles(ranker)
    check_carried(bundles, scoring.carry)
    scorers = [Scorer.of_bundle(bundle, scoring) for bundle in bundles]
    plan = make_plan(files, recorded(pool, files), scorers, reading, scoring)
    if not claim(run, plan, overwrite=overwrite):
        return _finished_before(run)
    watch.start(plan.rows)
    started = time.perf_counter()
    counts, meter = Counts(), _Meter()
    for work in read_ahead(_prepare(files, plan, reader, scorers), READ_AHEAD):
        counts.add(_score_chunk(run, plan, scorers, work, meter, watch))
        watch.chunk(counts)
    join_set_aside(run, plan)
    seconds = time.perf_counter() - started
    choice = {scorer.name: asdict(scorer.choice) for scorer in scorers}
    report = RunReport(run, counts, seconds, meter.padding, choice, versions=versions())
    write_json(run / RUN, _summary(report))
    return report


@dataclass
class _Meter:
    """Tokens that went through the encoders; distinct texts run once, so fewer than the records have."""

    tokens: int = 0
    padded: int = 0

    @property
    def padding(self) -> float:
        return 1 - self.tokens / self.padded if self.padded else 0.0


@dataclass(frozen=True)
class _Work:
    """A chunk ready for the engine: its records without their text, and the token ids."""

    chunk: Chunk
    items: list[Item]
    encoded: list[Encoded]
    """For each ranker."""
    carry: tuple[str, ...]


def _prepare(
    files: Sequence[PoolFile], plan: Plan, reader: RowReader, scorers: Sequence[Scorer]
) -> Iterator[_Work]:
    """Read and tokenise the chunks in order; the text of a chunk is gone when the next is read."""
    stream = rows_of(files)
    encoders = [scorer.encoder for scorer in scorers]
    for chunk in plan.chunks:
        items: list[Item] = []
        records: list[Record] = []
        for raw in islice(stream, chunk.rows):
            row = reader.parse(raw)
            records += [item for item in row.items if isinstance(item, Record)]
            items += [Item.of(item, row.carried) for item in row.items]
        yield _Work(chunk, items, encode_records(encoders, records), reader.carry)


def _score_chunk(
    run: Path, plan: Plan, scorers: Sequence[Scorer], work: _Work, meter: _Meter, watch: Watch
) -> Counts:
    total = sum(int(encoded.pairs.tokens.lengths.sum()) for encoded in work.encoded)

    def on_batch(tokens: int, padded: int) -> None:
        meter.tokens += tokens
        meter.padded += padded
        watch.batch(work.chunk.rows * tokens / total, tokens, padded)

    scores: dict[str, Scores] = {}
    for scorer, encoded in zip(scorers, work.encoded, strict=True):
        scores[scorer.name] = scorer.score_encoded(encoded, on_batch)
        _trustworthy(work.chunk, scorer.name, scores[scorer.name])
    items, places = with_scores(work.items, scores)
    counts = count(items, places, scores)
    sheet = table(items, places, scores, work.carry)
    aside = [item.set_aside for item in items if item.set_aside]
    commit(run, work.chunk.index, sheet, aside, counts, plan.fingerprint)
    return counts


def _trustworthy(chunk: Chunk, ranker: str, scores: Scores) -> None:
    """Stop the run where the model's answers are no scores; nothing of the chunk is committed."""
    bad = int((~np.isfinite(scores.scores)).sum())
    if bad > max(1, MOST_NON_FINITE * len(scores.scores)):
        raise RunError(
            f"chunk {chunk.index} ({chunk.file}, line {chunk.line}): {bad} of {len(scores.scores)} scores of "
            f"{ranker!r} are not finite; the run stopped, nothing of this chunk was written"
        )


def read_ahead(source: Iterable[T], depth: int) -> Iterator[T]:
    """Run an iterator in one thread, at most `depth` items ahead; its errors are raised here."""
    iterator, end = iter(source), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting = deque(thread.submit(next, iterator, end) for _ in range(depth))
        while (value := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, iterator, end))
            yield value  # type: ignore[misc]


def _summary(report: RunReport) -> dict[str, Any]:
    return {
        **asdict(report.counts),
        "seconds": round(report.seconds, 3),
        "rows_per_second": round(report.rows_per_second, 2),
        "padding": round(report.padding, 4),
        "choice": report.choice,
        "versions": report.versions,
    }


def _finished_before(run: Path) -> RunReport:
    summary = read_summary(run)
    counts = Counts(**{f.name: summary[f.name] for f in fields(Counts)})
    return RunReport(
        run, counts, summary["seconds"], summary["padding"], summary["choice"], True, summary["versions"]
    )

"""The stages of a run between the pool and the sidecar: read, tokenise, score. Chunks come out in the pool's order."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from scar import pools
from scar.errors import RunError
from scar.pools import Chunk, PoolFile, RowReader
from scar.records import Record
from scar.serving.answers import Encoded, Scores, encode_records
from scar.serving.engines import Batch
from scar.serving.scorer import Scorer
from scar.serving.sidecar import Item
from scar.serving.stages import map_ahead, read_ahead

READ_AHEAD = 2
"""Chunks that wait for the next stage."""
SCORED_TOGETHER = 2
"""Chunks whose batches share the engine: the next chunk's fill the gap when one comes to its end."""
MOST_NON_FINITE = 0.01


@dataclass(frozen=True)
class Work:
    """A chunk that was read: its records, and what the sidecar says of them but for the scores."""

    chunk: Chunk
    items: list[Item]
    records: list[Record]


@dataclass(frozen=True)
class Scored:
    """A chunk with its scores; the text is gone."""

    chunk: Chunk
    items: list[Item]
    scores: dict[str, Scores]
    """Of the records that could be read, by ranker."""
    meter: "Meter"


@dataclass(frozen=True)
class Failed:
    """A chunk that could not be scored, though others can: the run goes on without it, and is not finished then."""

    chunk: Chunk
    why: str


@dataclass
class Meter:
    """Tokens that went through the encoders; distinct texts run once, so fewer than the records have."""

    tokens: int = 0
    padded: int = 0
    batch_tokens: dict[str, int] = field(default_factory=dict)
    """Ranker -> most tokens of a batch at the end: fewer than planned where memory ran out."""

    @property
    def padding(self) -> float:
        """Share of the tokens that were padding."""
        return 1 - self.tokens / self.padded if self.padded else 0.0

    def add(self, other: "Meter") -> None:
        """Add what another one counted."""
        self.tokens += other.tokens
        self.padded += other.padded
        for name, tokens in other.batch_tokens.items():
            self.batch_tokens[name] = min(tokens, self.batch_tokens.get(name, tokens))


def read_chunks(files: Sequence[PoolFile], chunks: Sequence[Chunk], reader: RowReader) -> Iterator[Work]:
    """Read chunks of a plan, any of them in order."""
    with closing(pools.read_chunks(files, chunks)) as parts:
        for chunk, rows in parts:
            items: list[Item] = []
            records: list[Record] = []
            for raw in rows:
                row = reader.parse(raw)
                records += [item for item in row.items if isinstance(item, Record)]
                items += [Item.of(item, row.carried) for item in row.items]
            yield Work(chunk, items, records)


@dataclass(frozen=True)
class _Ready:
    """A chunk ready for the engines; the text is gone."""

    chunk: Chunk
    items: list[Item]
    encoded: list[Encoded]


class Threads:
    """Scores chunks in this process: one thread tokenises ahead while others keep the engines busy."""

    def __init__(self, scorers: Sequence[Scorer], on_batch: Callable[[float, int, int], None]) -> None:
        """`on_batch` is told of each batch, one at a time: its share of the rows, its tokens, these with padding."""
        self._scorers = scorers
        self._on_batch = on_batch
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, works: Iterable[Work]) -> Generator[Scored]:
        """Score chunks; they come out in order."""
        pool = ThreadPoolExecutor(SCORED_TOGETHER)
        try:
            with closing(read_ahead(map(self._tokenise, works), READ_AHEAD)) as ready:
                yield from map_ahead(pool, self._score, ready, SCORED_TOGETHER)
        finally:
            # Who closes this early, by Ctrl-C say, does not wait for the end of a chunk.
            self._stopped.set()
            pool.shutdown()

    def _tokenise(self, work: Work) -> _Ready:
        return _Ready(
            work.chunk, work.items, encode_records([scorer.encoder for scorer in self._scorers], work.records)
        )

    def _score(self, ready: _Ready) -> Scored:
        meter = Meter()
        total = sum(int(encoded.pairs.tokens.lengths.sum()) for encoded in ready.encoded)

        def on_batch(tokens: int, padded: int) -> None:
            if self._stopped.is_set():
                raise RunError("stopped")
            with self._lock:
                meter.add(Meter(tokens, padded))
                self._on_batch(ready.chunk.rows * tokens / total, tokens, padded)

        scores = score_all(self._scorers, ready.chunk, ready.encoded, on_batch)
        refuse_non_finite(ready.chunk, scores)
        with self._lock:
            meter.add(Meter(batch_tokens=budgets(self._scorers)))
        return Scored(ready.chunk, ready.items, scores, meter)


def score_all(
    scorers: Sequence[Scorer], chunk: Chunk, encoded: Sequence[Encoded], on_batch: Batch
) -> dict[str, Scores]:
    """Score a chunk's records with every ranker; what the engines give for known texts is looked at after.

    Raises RunError, naming the chunk, where an engine cannot be trusted.
    """
    try:
        scores = {
            scorer.name: scorer.score_encoded(each, on_batch)
            for scorer, each in zip(scorers, encoded, strict=True)
        }
        for scorer in scorers:
            scorer.check()
    except RunError as error:
        raise RunError(
            f"{where(chunk)}: {error}; the run stopped, nothing of this chunk was written"
        ) from None
    return scores


def budgets(scorers: Sequence[Scorer]) -> dict[str, int]:
    """Give the most tokens of a batch, ranker by ranker."""
    return {scorer.name: scorer.model.batch_tokens for scorer in scorers}


def refuse_non_finite(chunk: Chunk, scores: Mapping[str, Scores]) -> None:
    """Raise RunError where too many of a chunk's scores are no numbers."""
    for ranker, some in scores.items():
        bad = int((~np.isfinite(some.scores)).sum())
        if bad > max(1, MOST_NON_FINITE * len(some.scores)):
            raise RunError(
                f"{where(chunk)}: {bad} of {len(some.scores)} scores of {ranker!r} are not finite; "
                "the run stopped, nothing of this chunk was written"
            )


def where(chunk: Chunk) -> str:
    """Name a chunk and where it begins."""
    return f"chunk {chunk.index} ({chunk.file}, line {chunk.line})"

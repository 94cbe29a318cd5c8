"""The stages of a run between the pool and the sidecar: read, tokenise, score. Chunks come out in the pool's order."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar import pools
from scar.errors import RunError
from scar.pools import Chunk, PoolFile, RowReader
from scar.records import Record
from scar.runs import EMBEDDINGS
from scar.serving.answers import Scores
from scar.serving.crew import Crew, Said, Tokens
from scar.serving.engines import Batch
from scar.serving.sidecar import Item
from scar.serving.vectors import finite
from scar.stages import map_ahead, read_ahead

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
    embeddings: NDArray[np.float16] | None = None
    """Of the same records, (n, d); None where none were asked for."""


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
    """Ranker, or `embeddings`, -> most tokens of a batch at the end: fewer than planned where memory ran out."""

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
    tokens: Tokens


class Threads:
    """Scores chunks in this process: one thread tokenises ahead while others keep the engines busy."""

    def __init__(self, crew: Crew, on_batch: Callable[[float, int, int], None]) -> None:
        """`on_batch` is told of each batch, one at a time: its share of the rows, its tokens, these with padding."""
        self._crew = crew
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
        return _Ready(work.chunk, work.items, self._crew.encode(work.records))

    def _score(self, ready: _Ready) -> Scored:
        meter = Meter()
        total = ready.tokens.total

        def on_batch(tokens: int, padded: int) -> None:
            if self._stopped.is_set():
                raise RunError("stopped")
            with self._lock:
                meter.add(Meter(tokens, padded))
                self._on_batch(ready.chunk.rows * tokens / total, tokens, padded)

        said = say_all(self._crew, ready.chunk, ready.tokens, on_batch)
        refuse_non_finite(ready.chunk, said.scores, said.embeddings)
        with self._lock:
            meter.add(Meter(batch_tokens=budgets(self._crew)))
        return Scored(ready.chunk, ready.items, said.scores, meter, said.embeddings)


def say_all(crew: Crew, chunk: Chunk, tokens: Tokens, on_batch: Batch) -> Said:
    """Score and embed a chunk's records; what the engines give for known texts is looked at after.

    Raises RunError, naming the chunk, where an engine cannot be trusted.
    """
    try:
        said = crew.say(tokens, on_batch)
        crew.check()
    except RunError as error:
        raise RunError(
            f"{where(chunk)}: {error}; the run stopped, nothing of this chunk was written"
        ) from None
    return said


def budgets(crew: Crew) -> dict[str, int]:
    """Give the most tokens of a batch, ranker by ranker."""
    found = {scorer.name: scorer.model.batch_tokens for scorer in crew.scorers}
    return found | ({EMBEDDINGS: crew.embedder.model.batch_tokens} if crew.embedder else {})


def refuse_non_finite(
    chunk: Chunk, scores: Mapping[str, Scores], embeddings: NDArray[np.float16] | None = None
) -> None:
    """Raise RunError where too many of a chunk's scores, or embeddings, are no numbers."""
    given: dict[str, NDArray[Any]] = {f"scores of {name!r}": some.scores for name, some in scores.items()}
    if embeddings is not None:
        given["embeddings"] = embeddings
    for what, values in given.items():
        bad = int((~finite(values)).sum())
        if bad > max(1, MOST_NON_FINITE * len(values)):
            raise RunError(
                f"{where(chunk)}: {bad} of {len(values)} {what} are not finite; "
                "the run stopped, nothing of this chunk was written"
            )


def where(chunk: Chunk) -> str:
    """Name a chunk and where it begins."""
    return f"chunk {chunk.index} ({chunk.file}, line {chunk.line})"

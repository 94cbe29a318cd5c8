"""What a long job will need, by a sample of its rows: nothing is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from scar.errors import InputError
from scar.pools import Place, PoolFile, RowReader, find, rows_of
from scar.pools.places import Local
from scar.records import Record, SetAside
from scar.serving.choice import Choice
from scar.serving.crew import Crew
from scar.serving.embedder import open_encoder
from scar.serving.engines.machine import peak_memory
from scar.serving.job import crew_of
from scar.serving.pipeline import READ_AHEAD, SCORED_TOGETHER
from scar.serving.rankers import Rankers, check_carried, open_bundles
from scar.settings import Reading, Scoring

SAMPLE = 300
BLOCK = 10
"""Rows of the sample that stand together: neighbours often share a text, which is encoded once."""
WARM = 8
"""Records scored before the clock: an engine's first batches are slow."""
ROW_BYTES = 6000
"""What a row of a chunk costs when its text is gone: its address, and what an encoder yields for its texts."""


@dataclass(frozen=True)
class Estimate:
    """What scoring a pool will come to. Where rows come over a network only the first were seen, and `rows` is None."""

    rows: int | None
    sampled: int
    records: int
    """Of the sample, as the figures below."""
    set_aside: int
    tokens: int
    """As the rankers see the records, together."""
    truncated: dict[str, int]
    """Records that a ranker sees cut."""
    seconds: float
    memory_bytes: int
    """Most memory of the job at a time, resident, however long it is."""
    choices: dict[str, Choice]

    @property
    def whole(self) -> float:
        """How many times the sample the pool is; 1 where its rows are not known."""
        return (self.rows or self.sampled) / self.sampled

    @property
    def all_tokens(self) -> float:
        """Tokens of the whole pool."""
        return self.tokens * self.whole

    @property
    def all_seconds(self) -> float:
        """Seconds that scoring the whole pool takes, loading left out."""
        return self.seconds * self.whole


def dry_run(
    pool: Place | Sequence[Place],
    ranker: Rankers,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    sample: int = SAMPLE,
) -> Estimate:
    """Score a sample spread over the pool, and say what the whole of it will need; nothing is written.

    Raises InputError as `score_pool` does, where the pool or a bundle is not usable.
    """
    reading, scoring = reading or Reading(), scoring or Scoring()
    files = find(pool)
    reader = RowReader(files, reading, scoring.carry)
    bundles = open_bundles(ranker)
    check_carried(bundles, scoring.carry)
    encoder = open_encoder(scoring.embeddings) if scoring.encoder else None
    rows, picked = spread(files, reader, sample)
    crew = crew_of(bundles, encoder, scoring)
    records = [item for items in picked for item in items if isinstance(item, Record)]
    crew.say(crew.encode(records[:WARM]))
    started = time.perf_counter()
    tokens = crew.encode(records)
    crew.say(tokens)
    seconds = time.perf_counter() - started
    return Estimate(
        rows=rows,
        sampled=len(picked),
        records=sum(map(len, picked)),
        set_aside=sum(isinstance(item, SetAside) for items in picked for item in items),
        tokens=sum(int(each.pairs.lengths.sum()) for each in tokens.encoded),
        truncated={
            scorer.name: int(each.pairs.truncated.sum())
            for scorer, each in zip(crew.scorers, tokens.encoded, strict=True)
        },
        seconds=seconds,
        memory_bytes=_memory(crew, records, len(picked)) * max(1, scoring.workers),
        choices={scorer.name: scorer.choice for scorer in crew.scorers},
    )


Items = tuple[Record | SetAside, ...]


def spread(files: Sequence[PoolFile], reader: RowReader, sample: int) -> tuple[int | None, list[Items]]:
    """Read the pool once and keep at least `sample` rows, at most twice as many, in blocks evenly spread.

    Gives the number of rows too. Of what comes over a network only the first rows are read, and the number is None.
    Raises InputError where the pool has no rows.
    """
    step, number = 1, 0
    remote = any(not isinstance(file.store, Local) for file in files)
    kept: list[tuple[int, Items]] = []
    for row in rows_of(files):
        if remote and number == sample:
            return None, [items for _, items in kept]
        if number // BLOCK % step == 0:
            kept.append((number // BLOCK, reader.parse(row).items))
            if len(kept) > 2 * sample and not remote:
                step *= 2
                kept = [(block, items) for block, items in kept if block % step == 0]
        number += 1
    if not number:
        raise InputError(f"the pool is empty: no rows in {', '.join(file.place for file in files)}")
    return number, [items for _, items in kept]


def _memory(crew: Crew, records: Sequence[Record], rows: int) -> int:
    """Give what this process has needed, and the chunks that a run holds at a time besides."""
    used = peak_memory()
    text = sum(len(record.response) + sum(len(turn.text) for turn in record.turns) for record in records)
    chunk_rows = max(scorer.scoring.chunk_rows for scorer in crew.scorers)
    # The text of one chunk, as bytes and as characters; the others that are under way are ids and arrays.
    return used + int(chunk_rows * (2 * text / rows + (READ_AHEAD + SCORED_TOGETHER + 1) * ROW_BYTES))

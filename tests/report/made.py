"""Facts in memory: what a report reads, without a run on a disk."""

from dataclasses import dataclass

import pyarrow as pa

from scar.errors import InputError
from scar.report.facts import Chosen, Facts
from scar.selection.why.manifest import Stage
from scar.settings import Reading


@dataclass(frozen=True)
class Held:
    """A table in memory, given in pieces."""

    table: pa.Table
    pieces: int = 1

    @property
    def schema(self):
        return self.table.schema

    def read(self, columns):
        size = max(1, -(-len(self.table) // self.pieces))
        for start in range(0, len(self.table), size):
            yield self.table.select(columns).slice(start, size)


def gone(what):
    def refuse():
        raise InputError(f"no {what} here")

    return refuse


def made_facts(
    *, score, kept=None, tokens=None, pieces=1, pool=None, embeddings=None, rows=None, reasons=None, **columns
):
    """Make facts of n records; `kept` numbers those that were kept, best first, None for a run alone."""
    n = len(score)
    rank = {record: place for place, record in enumerate(kept or (), start=1)}
    reason = reasons or [None if each is not None else "empty_response" for each in score]
    table = {
        "row": pa.array(range(n) if rows is None else rows, pa.int64()),
        "part": pa.array([None] * n, pa.string()),
        "file": pa.array(["pool.jsonl"] * n),
        "line": pa.array([1 + row for row in (range(n) if rows is None else rows)], pa.int64()),
        "reason": pa.array(reason, pa.string()),
        "style": pa.array(score, pa.float32()),
        **({"style_tokens": pa.array(tokens, pa.int32())} if tokens is not None else {}),
        **({"scar_score": pa.array(score, pa.float32())} if kept is not None else {}),
        **({"scar_rank": pa.array([rank.get(k) for k in range(n)], pa.int64())} if kept is not None else {}),
        **columns,
    }
    stages = (Stage(f"TopK(k={len(kept)})", n, len(kept)),) if kept is not None else ()
    return Facts(
        name="made",
        rows=n,
        rankers=("style",),
        by="style",
        score="style" if kept is None else "scar_score",
        table=Held(pa.table(table), pieces),
        reading=Reading(),
        pool=pool or gone("pool"),
        embeddings=embeddings or gone("embeddings"),
        chosen=None if kept is None else Chosen("made.jsonl", stages, {}),
    )

"""Commit chunks: data files first, then one small ledger entry with their checksums. Knows no model."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scar.files import atomic, sha256, write_json
from scar.records import SetAside
from scar.runs import CHUNKS, LEDGER, SET_ASIDE, SET_ASIDE_PARTS, Plan, chunk_name


@dataclass
class Counts:
    """What became of records: records = scored + the sum of set_aside."""

    rows: int = 0
    records: int = 0
    scored: int = 0
    truncated: int = 0
    """Scored records of which something was cut, for whichever ranker."""
    tokens: int = 0
    """By all rankers together."""
    set_aside: dict[str, int] = field(default_factory=dict)
    tokens_of: dict[str, int] = field(default_factory=dict)
    """Ranker -> tokens of the scored records."""
    truncated_of: dict[str, int] = field(default_factory=dict)
    """Ranker -> scored records of which something was cut for it."""

    def add(self, other: "Counts") -> None:
        """Add another chunk's counts."""
        for name in ("rows", "records", "scored", "truncated", "tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("set_aside", "tokens_of", "truncated_of"):
            mine = getattr(self, name)
            for key, count in getattr(other, name).items():
                mine[key] = mine.get(key, 0) + count


def commit(
    run: Path,
    index: int,
    table: pa.Table,
    set_aside: Sequence[SetAside],
    counts: Counts,
    fingerprint: Mapping[str, Any],
) -> None:
    """Write a chunk's files, each whole or not at all, then the entry that says that they are there."""
    data = run / CHUNKS / chunk_name(index, ".parquet")
    aside = run / SET_ASIDE_PARTS / chunk_name(index, ".jsonl")
    with atomic(data) as stream:
        # The text-like columns get no statistics: a long value in a page header can make a file unreadable.
        pq.write_table(table, stream, compression="zstd", write_statistics=["row", "line"])
    with atomic(aside) as stream:
        for item in set_aside:
            stream.write((json.dumps(_line(item), ensure_ascii=False) + "\n").encode())
    entry = {
        "chunk": index,
        **asdict(counts),
        "files": {f"{path.parent.name}/{path.name}": sha256(path) for path in (data, aside)},
        "fingerprint": digest(fingerprint),
    }
    write_json(run / LEDGER / chunk_name(index, ".json"), entry)


def _line(item: SetAside) -> dict[str, Any]:
    return {
        "row": item.address.row,
        "part": item.part,
        "file": item.address.file,
        "line": item.address.line,
        "id": item.id,
        "reason": item.code,
        "detail": item.detail,
    }


def digest(fingerprint: Mapping[str, Any]) -> str:
    """Give one hash of a fingerprint."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def join_set_aside(run: Path, plan: Plan) -> None:
    """Join the chunks' set-aside rows into one file, in pool order."""
    with atomic(run / SET_ASIDE) as out:
        for chunk in plan.chunks:
            with open(run / SET_ASIDE_PARTS / chunk_name(chunk.index, ".jsonl"), "rb") as part:
                shutil.copyfileobj(part, out)

"""The rows of a seen-vs-unseen training: those you have, and the candidates with what becomes of each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.pools import Chunk, FileFacts, Place, RowReader, cut, find, read_pool, recorded, rows_of
from scar.records import Record, SetAside
from scar.serving.sidecar import Item
from scar.settings import Reading
from scar.training.unseen.folds import Seen

CHUNK_ROWS = 2048
"""Input rows of a chunk of the run."""


@dataclass(frozen=True)
class Rows:
    """Seen records and candidates; and an item for every record of the pool, also those set aside.

    Records stand in the order of their texts: what is learned of them does not depend on the order of the files.
    """

    records: list[Record]
    seen: Seen
    """(records,)"""
    candidates: NDArray[np.int64]
    """Where each candidate stands among the records, in pool order."""
    items: list[Item]
    pool: tuple[str, ...]
    """The pool argument, as absolute paths."""
    files: list[FileFacts]
    """Of the pool, as it was before it was read: a file that changes during a long training must not pass for it."""
    chunks: list[Chunk]
    lost: dict[str, int]
    """Seen rows that cannot be read, by reason."""

    @property
    def set_aside(self) -> dict[str, int]:
        """Records of the pool that cannot be read, by reason."""
        return dict(Counter(item.set_aside.code for item in self.items if item.set_aside))

    @classmethod
    def read(cls, seen: Place | Sequence[Place], pool: Place | Sequence[Place], reading: Reading) -> "Rows":
        """Read both. Their text is in memory until the folds are done: a pool of some 10^6 rows at most."""
        have = list(read_pool(seen, reading))
        known = [item for item in have if isinstance(item, Record)]
        lost = Counter(str(item.reason) for item in have if isinstance(item, SetAside))
        files = find(pool)
        facts, chunks = cut(files, CHUNK_ROWS)
        reader = RowReader(files, reading)
        candidates: list[Record] = []
        items: list[Item] = []
        for row in rows_of(files):
            for item in reader.parse(row).items:
                items.append(Item.of(item, ()))
                if isinstance(item, Record):
                    candidates.append(item)
        for what, place, rows in (("seen rows", seen, known), ("candidates", pool, candidates)):
            if not rows:
                raise InputError(f"{place}: no {what} can be read; `scar inspect` says why")
        records = [*known, *candidates]
        order = sorted(range(len(records)), key=lambda n: (n >= len(known), *_texts(records[n])))
        places = np.empty(len(records), dtype=np.int64)
        places[order] = np.arange(len(records))
        flags = np.arange(len(records)) < len(known)
        return cls(
            [records[n] for n in order],
            flags,
            places[len(known) :],
            items,
            recorded(pool, files),
            facts,
            chunks,
            dict(lost),
        )


def _texts(record: Record) -> tuple[str, ...]:
    return (*(text for turn in record.turns for text in turn), record.response)

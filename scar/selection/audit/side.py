"""Figures of some records' texts, gathered as they come; memory holds hashes, never texts."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from scar.records import Record, instruction_key, normalised

MOST_BYTES = 8_000_000
"""Text that is compressed: more of it changes the ratio little, for DEFLATE looks back 32 KiB."""
LEVEL = 9


@dataclass(frozen=True)
class Side:
    """What some records are like."""

    records: int
    duplicates: float
    """Share of the records that repeat an earlier one, instruction and response, but for case and white space."""
    repeated_instructions: float
    """Share of the records whose instruction an earlier one has."""
    compression: float
    """Bytes of the texts over their bytes after DEFLATE at level 9: the higher, the more alike neighbours are."""
    groups: Mapping[str, Mapping[str, float]]
    """Column -> value -> share of the records that were looked at for it; no value counts as an empty one."""


@dataclass
class Tally:
    """Takes records one by one."""

    _seen: set[bytes] = field(default_factory=set)
    _asked: set[bytes] = field(default_factory=set)
    _groups: dict[str, Counter[str]] = field(default_factory=dict)
    _compressor: "zlib._Compress" = field(default_factory=lambda: zlib.compressobj(LEVEL))
    _records: int = 0
    _raw: int = 0
    _packed: int = 0

    def add(self, record: Record, groups: Mapping[str, str]) -> None:
        """Take a record, and its value of each column that is looked at."""
        self._records += 1
        asked = instruction_key(record)
        self._asked.add(_hash(asked))
        self._seen.add(_hash(asked + "\0" + normalised(record.response)))
        for column, value in groups.items():
            self._groups.setdefault(column, Counter())[value] += 1
        if self._raw < MOST_BYTES:
            text = "\n".join([*(turn.text for turn in record.turns), record.response, ""])
            raw = text.encode("utf-8", "replace")[: MOST_BYTES - self._raw]
            self._raw += len(raw)
            self._packed += len(self._compressor.compress(raw))

    def side(self) -> Side:
        """Give the figures; of no records they are 0."""
        n = max(1, self._records)
        packed = self._packed + len(self._compressor.copy().flush())
        return Side(
            self._records,
            (self._records - len(self._seen)) / n,
            (self._records - len(self._asked)) / n,
            self._raw / packed if self._raw else 0.0,
            {
                column: _shares(counts, self._missing(column, counts))
                for column, counts in self._groups.items()
            },
        )

    def _missing(self, column: str, counts: Counter[str]) -> int:
        """Count the records without the column; languages are detected of some alone."""
        return 0 if "detected" in column else self._records - counts.total()


def _shares(counts: Counter[str], missing: int) -> dict[str, float]:
    """Give shares of what was counted, the most frequent first, equals by name; `missing` had no such column."""
    counts = counts + Counter({"": missing})
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return {value: count / counts.total() for value, count in ordered}


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()

"""Look at a pool before it is scored: what was detected, what the model will see, what would be set aside."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.bundle import Bundle
from scar.encoding import PairEncoder, Template
from scar.errors import InputError
from scar.formats import Layout, shown
from scar.formats.layouts import known_fields
from scar.pools import Place, PoolFile, Row, RowReader, find, rows_of
from scar.records import Reason, Record, SetAside
from scar.settings import Reading

ROWS = 100_000
"""Rows that are looked at, unless more are asked for."""
SAMPLES = 3
EXAMPLES = 2
"""Rows shown of each reason."""
QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
_WINDOW = 1024
_OFTEN_ASKED = ("context", "history", "system", "system_prompt")
_OF_LAYOUT = (
    Reason.MISSING_INSTRUCTION,
    Reason.MISSING_RESPONSE,
    Reason.INSTRUCTION_NOT_TEXT,
    Reason.RESPONSE_NOT_TEXT,
    Reason.WRONG_LAYOUT,
)
"""Reasons that a layout taken wrongly would give."""


@dataclass(frozen=True)
class FileLook:
    """What a file was taken for."""

    name: str
    kind: str
    layout: str
    read: tuple[str, ...]
    """Columns that records are made of."""
    left: tuple[str, ...]
    """Columns that are not read; they stay in the kept rows."""


@dataclass(frozen=True)
class Sample:
    """A record as the model will see it: after the template, and, where a ranker is given, after its cut."""

    record: Record
    instruction: str
    response: str
    lengths: tuple[int, int]
    truncated: bool


@dataclass(frozen=True)
class Example:
    """A row that would be set aside, and the beginning of it."""

    item: SetAside
    row: str


@dataclass
class Inspection:
    """What was seen. `unit` is what lengths count: tokens where a ranker is given, else characters."""

    files: tuple[FileLook, ...]
    unit: str
    limit: int | None = None
    """Tokens of a text at most."""
    rows: int = 0
    whole: bool = True
    """Whether the pool ended before the wanted number of rows."""
    records: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    several_turns: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    truncated: int = 0
    duplicates: int = 0
    """Records whose instruction and response another one before has, but for case and white space."""
    instructions: int = 0
    """Different instructions, but for case and white space."""
    lengths: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def quantiles(self) -> dict[str, list[int]]:
        """Give the lengths at QUANTILES of instruction, response and both together; the true values, not between."""
        return {
            name: np.quantile(values, QUANTILES, method="inverted_cdf").astype(int).tolist()
            for name, values in self.lengths.items()
            if len(values)
        }

    def advice(self) -> list[str]:
        """Say what a user may want to change."""
        told = []
        unread = sorted({name for file in self.files for name in file.left if name in _OFTEN_ASKED})
        if unread:
            told.append(
                f"{', '.join(unread)}: not read, though often a part of what was asked; "
                f"instructions without an input take one by --columns input={unread[0]}"
            )
        lost = sum(self.set_aside.values())
        if lost * 10 > self.records + lost:
            reason, number = self.set_aside.most_common(1)[0]
            remedy = ""
            if reason in _OF_LAYOUT:
                layouts = ", ".join(sorted({file.layout for file in self.files}))
                remedy = (
                    f": if {layouts} is not what these rows are, force --format, or map them with --columns"
                )
            share = lost / (self.records + lost)
            told.append(f"{share:.0%} would be set aside, most as {reason} ({number:,}){remedy}")
        if self.limit and self.truncated * 10 > self.records:
            told.append(f"{self.truncated / self.records:.0%} are cut at {self.limit} tokens a text")
        return told


def inspect_pool(
    pool: Place | Sequence[Place],
    ranker: str | Path | None = None,
    *,
    reading: Reading | None = None,
    rows: int = ROWS,
) -> Inspection:
    """Look at the first `rows` rows of a pool, through the tokenizer of a ranker where one is given.

    Raises InputError where the pool or the bundle cannot be read.
    """
    if rows < 1:
        raise InputError(f"--rows must be at least 1, got {rows}")
    reading = reading or Reading()
    encoder = PairEncoder.of_bundle(Bundle.open(ranker)) if ranker else None
    files = find(pool)
    reader = RowReader(files, reading)
    looks = tuple(_look(file, reader.layouts[file.name], reader.columns[file.name]) for file in files)
    seen = Inspection(
        looks, "tokens" if encoder else "characters", encoder.settings.max_tokens if encoder else None
    )
    tally = _Tally(seen, encoder)
    stream = rows_of(files)
    for row in islice(stream, rows):
        tally.see(row, reader)
    seen.whole = next(stream, None) is None
    tally.finish()
    return seen


def _look(file: PoolFile, layout: Layout, present: Sequence[str]) -> FileLook:
    wanted = {layout.column(name) for name in known_fields(layout.name)}
    read = tuple(name for name in present if name in wanted)
    return FileLook(
        file.name, file.kind, layout.name, read, tuple(name for name in present if name not in wanted)
    )


class _Tally:
    """Counts rows as they come; a window of records is tokenised together."""

    def __init__(self, seen: Inspection, encoder: PairEncoder | None) -> None:
        self._seen = seen
        self._encoder = encoder
        self._window: list[Record] = []
        self._x, self._y = array("q"), array("q")
        self._texts, self._asked = array("Q"), array("Q")
        self._sampled: set[str] = set()

    def see(self, row: Row, reader: RowReader) -> None:
        """Count a row."""
        self._seen.rows += 1
        for item in reader.parse(row).items:
            if isinstance(item, SetAside):
                self._set_aside(item, row)
            else:
                self._record(item, reader.layouts[row.address.file].name)
        if len(self._window) >= _WINDOW:
            self._measure()

    def finish(self) -> None:
        """Count what waits, and what can be told only at the end."""
        self._measure()
        seen = self._seen
        x, y = np.asarray(self._x, dtype=np.int64), np.asarray(self._y, dtype=np.int64)
        seen.lengths = {"instruction": x, "response": y, "both": x + y}
        seen.duplicates = len(self._texts) - len(np.unique(np.asarray(self._texts, dtype=np.uint64)))
        seen.instructions = len(np.unique(np.asarray(self._asked, dtype=np.uint64)))
        # One of each layout first: the others only fill up.
        seen.samples = sorted(seen.samples[:SAMPLES], key=lambda sample: sample.record.address.row)

    def _set_aside(self, item: SetAside, row: Row) -> None:
        self._seen.set_aside[str(item.reason)] += 1
        if self._seen.set_aside[str(item.reason)] <= EXAMPLES:
            fields = row.decode()
            text = shown(fields) if isinstance(fields, dict) else row.json()[:120].decode("utf-8", "replace")
            self._seen.examples.append(Example(item, text))

    def _record(self, record: Record, layout: str) -> None:
        seen = self._seen
        seen.records += 1
        seen.several_turns += len(record.turns) > 1
        if record.part is not None:
            seen.parts[record.part] += 1
        asked = " ".join(turn.text for turn in record.turns)
        self._asked.append(_mark(asked))
        self._texts.append(_mark(asked, record.response))
        if layout not in self._sampled:
            self._sampled.add(layout)
            seen.samples.insert(len(self._sampled) - 1, self._sample(record))
        elif len(seen.samples) < SAMPLES:
            seen.samples.append(self._sample(record))
        self._window.append(record)

    def _measure(self) -> None:
        if self._encoder is None:
            template = Template()
            self._x.extend(len(template.render(record.turns)) for record in self._window)
            self._y.extend(len(record.response) for record in self._window)
        elif self._window:
            pairs = self._encoder.encode((record.turns, record.response) for record in self._window)
            lengths = pairs.tokens.lengths
            self._x.extend(lengths[pairs.x].tolist())
            self._y.extend(lengths[pairs.y].tolist())
            self._seen.truncated += int(pairs.truncated.sum())
        self._window = []

    def _sample(self, record: Record) -> Sample:
        if self._encoder is None:
            asked = Template().render(record.turns)
            return Sample(record, asked, record.response, (len(asked), len(record.response)), False)
        pairs = self._encoder.encode([(record.turns, record.response)])
        x, y = int(pairs.x[0]), int(pairs.y[0])
        texts = [self._encoder.text.decode(pairs.tokens, number) for number in (x, y)]
        lengths = pairs.tokens.lengths
        return Sample(
            record, texts[0], texts[1], (int(lengths[x]), int(lengths[y])), bool(pairs.truncated[0])
        )


def _mark(*texts: str) -> int:
    """Give 64 bits of a hash of texts, but for case and white space: two of 10^7 clash with a chance of 3 in 10^6."""
    hashed = hashlib.blake2b(digest_size=8)
    for part in _normalised(texts):
        hashed.update(part)
    return int.from_bytes(hashed.digest(), "little")


def _normalised(texts: Sequence[str]) -> Iterator[bytes]:
    for text in texts:
        yield " ".join(text.casefold().split()).encode("utf-8", "replace")
        yield b"\0"

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
from scar.encoding import Inputs, PairEncoder, Pairs, Template
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
SEEN: dict[Inputs, tuple[str, ...]] = {
    "each": ("instruction", "response"),
    "pair": ("pair",),
    "instruction": ("instruction",),
    "response": ("response",),
}
"""What the sequences of a record are called, by what a ranker sees of it."""
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
    texts: dict[str, str]
    """Instruction and response; `pair` where the ranker sees both in one sequence; one of them where it sees one."""
    lengths: dict[str, int]
    """Of each of these texts."""
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
    """Tokens of a sequence at most."""
    sequence: str = "text"
    """What a sequence is: a text, or a pair of them."""
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
        """Give the lengths at QUANTILES of what the model sees; the true values, not between."""
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
            told.append(
                f"{self.truncated / self.records:.0%} are cut at {self.limit} tokens a {self.sequence}"
            )
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
    seen = Inspection(looks, "characters")
    if encoder:
        told = "pair" if encoder.settings.inputs == "pair" else "text"
        seen = Inspection(looks, "tokens", encoder.settings.max_tokens, told)
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
        self._lengths: dict[str, array[int]] = {}
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
        seen.lengths = {name: np.asarray(lengths, dtype=np.int64) for name, lengths in self._lengths.items()}
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
        if not self._window:
            return
        if self._encoder is None:
            asked = [Template().render(record.turns) for record in self._window]
            lengths = _summed(
                [len(text) for text in asked], [len(record.response) for record in self._window]
            )
        else:
            pairs = self._encoder.encode((record.turns, record.response) for record in self._window)
            lengths = _lengths(pairs, self._encoder.settings.inputs)
            self._seen.truncated += int(pairs.truncated.sum())
        for name, some in lengths.items():
            self._lengths.setdefault(name, array("q")).extend(some)
        self._window = []

    def _sample(self, record: Record) -> Sample:
        if self._encoder is None:
            texts = {"instruction": Template().render(record.turns), "response": record.response}
            return Sample(record, texts, {name: len(text) for name, text in texts.items()}, False)
        pairs = self._encoder.encode([(record.turns, record.response)])
        names = SEEN[self._encoder.settings.inputs]
        texts = {
            name: self._encoder.text.decode(pairs.tokens, int(text))
            for name, text in zip(names, pairs.texts[0], strict=True)
        }
        lengths = pairs.tokens.lengths[pairs.texts[0]].tolist()
        return Sample(record, texts, dict(zip(names, lengths, strict=True)), bool(pairs.truncated[0]))


def _lengths(pairs: Pairs, inputs: Inputs) -> dict[str, list[int]]:
    """Give the tokens of each sequence that a model sees of a record; of a pair also the response's before any cut."""
    seen = pairs.tokens.lengths[pairs.texts]
    if inputs == "each":
        return _summed(seen[:, 0].tolist(), seen[:, 1].tolist())
    whole = {"response, uncut": pairs.response_tokens.tolist()} if inputs == "pair" else {}
    return {SEEN[inputs][0]: seen[:, 0].tolist(), **whole}


def _summed(x: list[int], y: list[int]) -> dict[str, list[int]]:
    return {"instruction": x, "response": y, "both": [a + b for a, b in zip(x, y, strict=True)]}


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

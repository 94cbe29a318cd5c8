"""Count the rows of a pool as they come: lengths, duplicates, samples, and what would be set aside."""

import hashlib
from array import array

import numpy as np

from scar.encoding import Inputs, PairEncoder, Pairs, Template
from scar.formats import shown
from scar.inspection.seen import Example, Inspection, Sample
from scar.pools import Row, RowReader
from scar.records import Record, SetAside, normalised

SAMPLES = 3
EXAMPLES = 2
"""Rows shown of each reason."""
SEEN: dict[Inputs, tuple[str, ...]] = {
    "each": ("instruction", "response"),
    "pair": ("pair",),
    "instruction": ("instruction",),
    "response": ("response",),
    "text": ("text",),
}
"""What the sequences of a record are called, by what a ranker sees of it."""
WINDOW = 1024
"""Records that are tokenised together."""


class Tally:
    """Counts rows as they come; a window of records is tokenised together."""

    def __init__(self, seen: Inspection, encoder: PairEncoder | None) -> None:
        """Count into `seen`."""
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
        if len(self._window) >= WINDOW:
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
    for text in texts:
        hashed.update(normalised(text).encode("utf-8", "replace") + b"\0")
    return int.from_bytes(hashed.digest(), "little")

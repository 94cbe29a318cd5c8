"""Scorer: records in, float32 scores out, in input order. Knows no files but the bundle."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar import formats
from scar.bundle import GATES, Bundle
from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError
from scar.records import Address, Reason, Record, SetAside, Turn
from scar.serving.engines import Batch
from scar.serving.models import Model, load_model
from scar.settings import Scoring

log = logging.getLogger("scar")
RecordLike = Record | Mapping[str, Any]
MOST_ANSWERS = 256
"""Of a dialogue with more answers the last ones are scored: each is encoded with all that was said before it."""


@dataclass(frozen=True)
class Choice:
    """Which graph, engine and precision score, and why."""

    graph: str
    engine: str
    precision: str
    why: str


@dataclass(frozen=True)
class Scores:
    """What the model says of some pairs; arrays of shape (n,)."""

    scores: NDArray[np.float32]
    """NaN where the model gave no finite number."""
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True)
class Encoded:
    """Records as token ids: record i has the pairs `starts[i]` to `starts[i + 1]`, its response last."""

    pairs: Pairs
    starts: NDArray[np.int64]
    skipped: NDArray[np.bool_]
    """(n,) whether a record has more answers than are scored."""

    @property
    def several(self) -> bool:
        """Whether any record has more than one pair."""
        return len(self.pairs) > len(self.skipped)


@dataclass(frozen=True)
class Explained:
    """One record's score, or why it has none."""

    score: float | None
    reason: Reason | None
    detail: str
    tokens: int
    truncated: bool


def choose(bundle: Bundle, scoring: Scoring) -> Choice:
    """Choose the graph: what was asked for by name, else the fused one where its gate passed.

    Raises InputError where the bundle has no graph, or not the one that was asked for.
    """
    graphs = bundle.graphs
    if not all(bundle.has(name) for name in (graphs.reference, *graphs.beside)):
        raise InputError(f"{bundle.path} has no graphs yet: run `scar export {bundle.path}`")
    passed = _passed(bundle, graphs.fused)
    if scoring.graph == "fused" and not passed:
        raise InputError(
            f"{bundle.path}: no fused graph that passed its gate; see {GATES}, or use --graph reference"
        )
    fused = passed and scoring.graph != "reference"
    why = (
        "asked for"
        if scoring.graph != "auto"
        else f"its gate passed ({GATES})"
        if fused
        else "no fused graph"
    )
    return Choice(graphs.fused if fused else graphs.reference, "onnxruntime", "fp32", why)


def _passed(bundle: Bundle, graph: str) -> bool:
    """Tell whether the newest record about this very file says that it passed."""
    if not bundle.has(graph):
        return False
    digest = bundle.digest(graph)[graph]
    records = [
        record for record in bundle.gates() if (record["graph"], record.get("sha256")) == (graph, digest)
    ]
    return bool(records) and bool(records[-1]["passed"])


class Scorer:
    """A ranker ready to score. Make one with `Scorer.load`."""

    def __init__(
        self, bundle: Bundle, choice: Choice, encoder: PairEncoder, model: Model, aggregate: str = "mean"
    ) -> None:
        self.bundle = bundle
        self.choice = choice
        self.encoder = encoder
        self.aggregate = aggregate
        self._model = model

    @classmethod
    def load(cls, path: str | Path, scoring: Scoring | None = None) -> "Scorer":
        """Open a bundle with its exported graphs. Raises InputError where it is damaged or not exported."""
        scoring = scoring or Scoring()
        bundle = Bundle.open(path)
        choice = choose(bundle, scoring)
        encoder = PairEncoder.of_bundle(bundle)
        model = load_model(
            bundle.path,
            bundle.graphs,
            choice.graph,
            pad_id=encoder.settings.pad_id,
            batch_tokens=scoring.batch_tokens,
            threads=scoring.threads,
        )
        return cls(bundle, choice, encoder, model, scoring.aggregate)

    @property
    def name(self) -> str:
        """The ranker's name."""
        return self.bundle.name

    def files(self) -> dict[str, str]:
        """Give the hashes of the bundle's files that a score depends on."""
        return self.bundle.digest(
            "ranker.json", "tokenizer.json", self.choice.graph, *self.bundle.graphs.beside
        )

    def score(self, rows: Iterable[RecordLike], *, strict: bool = False) -> NDArray[np.float32]:
        """Score records or plain rows: shape (n,), higher is better, in input order.

        A row that cannot be scored gives NaN, and one warning counts them; `strict` raises InputError instead.
        """
        items = [_record(row, number) for number, row in enumerate(rows)]
        bad = [item for item in items if isinstance(item, SetAside)]
        if bad and strict:
            raise InputError(f"row {bad[0].address.row} cannot be scored: {bad[0].reason}: {bad[0].detail}")
        out = np.full(len(items), np.nan, dtype=np.float32)
        good = [number for number, item in enumerate(items) if isinstance(item, Record)]
        out[good] = self.score_records([item for item in items if isinstance(item, Record)]).scores
        if missing := int(np.isnan(out).sum()):
            log.warning("%d of %d rows have no score (NaN); Scorer.explain says why", missing, len(items))
            if strict:
                raise InputError(f"{missing} rows have no finite score")
        return out

    def explain(self, rows: Iterable[RecordLike]) -> list[Explained]:
        """Score records and say of each how long it is, whether it was cut, and why it has no score."""
        items = [_record(row, number) for number, row in enumerate(rows)]
        scores = self.score_records([item for item in items if isinstance(item, Record)])
        numbers = iter(range(len(scores.scores)))
        return [
            Explained(None, item.reason, item.detail, 0, False)
            if isinstance(item, SetAside)
            else _explained(scores, next(numbers))
            for item in items
        ]

    def score_records(self, records: Sequence[Record], on_batch: Batch | None = None) -> Scores:
        """Tokenise and score records."""
        return self.score_encoded(self.encode(records), on_batch)

    def encode(self, records: Sequence[Record]) -> Encoded:
        """Tokenise records, each distinct text once."""
        answers = [_answers(record) for record in records]
        pairs = self.encoder.encode(pair for each in answers for pair in each)
        starts = np.concatenate([[0], np.cumsum([len(each) for each in answers], dtype=np.int64)])
        skipped = np.asarray([len(record.answers) >= MOST_ANSWERS for record in records], dtype=bool)
        return Encoded(pairs, starts.astype(np.int64), skipped)

    def score_encoded(self, encoded: Encoded, on_batch: Batch | None = None) -> Scores:
        """Score tokenised records; the scores of a record's several answers become one."""
        scores = self.score_pairs(encoded.pairs, on_batch)
        return together(scores, encoded, self.aggregate) if encoded.several else scores

    def score_pairs(self, pairs: Pairs, on_batch: Batch | None = None) -> Scores:
        """Score tokenised records; a pair without a finite score is run once more, alone."""
        scores = self._model.score(pairs, on_batch)
        if len(scores) != len(pairs):
            raise RuntimeError(f"the engine gave {len(scores)} scores for {len(pairs)} records")
        for number in np.flatnonzero(~np.isfinite(scores)):
            again = self._model.score(pairs.take(np.asarray([number])))[0]
            scores[number] = again if np.isfinite(again) else np.nan
        return Scores(scores, pairs.lengths.astype(np.int32), pairs.truncated)


def _answers(record: Record) -> list[tuple[Sequence[Turn], str]]:
    """Give each answer of a record that is scored with the turns before it, the last answers only of very many."""
    turns = record.turns
    earlier = record.answers[max(0, len(record.answers) - MOST_ANSWERS + 1) :]
    return [*((turns[:place], turns[place].text) for place in earlier), (turns, record.response)]


def together(scores: Scores, encoded: Encoded, aggregate: str) -> Scores:
    """Make one score of each record's: their mean, the least, or the last; one of them not finite spoils it."""
    firsts, counts = encoded.starts[:-1], np.diff(encoded.starts)
    exact = scores.scores.astype(np.float64)
    if aggregate == "last":
        joined = exact[encoded.starts[1:] - 1]
    elif aggregate == "min":
        joined = np.minimum.reduceat(exact, firsts)
    else:
        joined = np.add.reduceat(exact, firsts) / counts
    return Scores(
        joined.astype(np.float32),
        np.add.reduceat(scores.tokens, firsts),
        np.logical_or.reduceat(scores.truncated, firsts) | encoded.skipped,
    )


def _record(row: RecordLike, number: int) -> Record | SetAside:
    if isinstance(row, Record):
        return formats.check(row)
    address = Address(number, line=number + 1)
    if not isinstance(row, Mapping):
        return SetAside(
            address, Reason.NOT_AN_OBJECT, f"row {number} is of type {type(row).__name__}, not a mapping"
        )
    items = list(formats.expand(row, formats.layout_of(row) or formats.Layout("plain"), address))
    if len(items) > 1:
        names = ", ".join(str(item.part) for item in items)
        return SetAside(
            address, Reason.WRONG_LAYOUT, f"the row has several responses ({names}): give one a row"
        )
    return items[0]


def _explained(scores: Scores, number: int) -> Explained:
    score = float(scores.scores[number])
    finite = bool(np.isfinite(score))
    reason, detail = (
        (None, "") if finite else (Reason.NON_FINITE, "the model gave no finite score, also alone")
    )
    return Explained(
        score if finite else None, reason, detail, int(scores.tokens[number]), bool(scores.truncated[number])
    )

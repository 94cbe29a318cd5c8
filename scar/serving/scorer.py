"""Scorer: records in, float32 scores out, in input order. Knows no files but the bundle."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.bundle import Bundle
from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError, RunError
from scar.records import Reason, Record, SetAside
from scar.serving.answers import Encoded, Scores, encode_records, together
from scar.serving.canaries import Canaries
from scar.serving.choice import Choice, choose
from scar.serving.columns import beside, calibration_of
from scar.serving.engines import Batch
from scar.serving.models import Model
from scar.serving.opened import Opened
from scar.serving.rows import RecordLike, record_of
from scar.serving.trusted import refuse_constant, run_again
from scar.serving.vectors import shaped
from scar.settings import Scoring

log = logging.getLogger("scar")


@dataclass(frozen=True)
class Explained:
    """One record's score, or why it has none."""

    score: float | None
    reason: Reason | None
    detail: str
    tokens: int
    truncated: bool
    columns: Mapping[str, float] = field(default_factory=dict)
    """What the score means, as a run's columns have it: `quality_p`, `style_percentile`, `p_seen`."""


class Scorer:
    """A ranker ready to score. Make one with `Scorer.load`."""

    def __init__(
        self,
        bundle: Bundle,
        choice: Choice,
        encoder: PairEncoder,
        model: Model,
        scoring: Scoring,
        files: Mapping[str, str],
        canaries: Canaries | None = None,
    ) -> None:
        """`files` gives the SHA-256 of the bundle's files that a score depends on, by name."""
        self.bundle = bundle
        self.choice = choice
        self.encoder = encoder
        self.scoring = scoring
        self.files = files
        self.calibration = calibration_of(bundle)
        self._model = model
        self._canaries = canaries

    @classmethod
    def load(cls, path: str | Path, scoring: Scoring | None = None) -> "Scorer":
        """Open a bundle with its exported graphs.

        Raises InputError where it is damaged or not exported, RunError where its engine does not give its scores.
        """
        return cls.of_bundle(Bundle.open_ranker(path), scoring or Scoring())

    @classmethod
    def of_bundle(cls, bundle: Bundle, scoring: Scoring) -> "Scorer":
        """Load the graphs of an open bundle."""
        return cls.chosen(bundle, choose(bundle, scoring), scoring)

    @classmethod
    def chosen(cls, bundle: Bundle, choice: Choice, scoring: Scoring) -> "Scorer":
        """Load the graphs that were chosen; what the settings leave open is the engine's own."""
        of = Opened.of(bundle, choice, scoring)
        return cls(bundle, choice, of.encoder, of.model, of.scoring, of.files, of.canaries)

    @property
    def name(self) -> str:
        """The ranker's name."""
        return self.bundle.name

    @property
    def model(self) -> Model:
        """The graphs, ready to run."""
        return self._model

    def score(self, rows: Iterable[RecordLike], *, strict: bool = False) -> NDArray[np.float32]:
        """Score records or plain rows: shape (n,), higher is better, in input order.

        A row that cannot be scored gives NaN, and one warning counts them; `strict` raises InputError instead.
        """
        items = [record_of(row, number) for number, row in enumerate(rows)]
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
        items = [record_of(row, number) for number, row in enumerate(rows)]
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
        return encode_records([self.encoder], records)[0]

    def score_encoded(self, encoded: Encoded, on_batch: Batch | None = None) -> Scores:
        """Score tokenised records: those of a record's several answers become one, and that has a meaning."""
        return self._whole(self.score_pairs(encoded.pairs, on_batch), encoded)

    def _whole(self, scores: Scores, encoded: Encoded) -> Scores:
        scores = together(scores, encoded, self.scoring.aggregate)
        return replace(scores, columns=beside(self.bundle.ranker, self.calibration, scores.scores))

    def score_and_embed(
        self, encoded: Encoded, on_batch: Batch | None = None
    ) -> tuple[Scores, NDArray[np.float16]]:
        """Score tokenised records, and embed each, (n, H), by its last answer, in one pass through the encoder.

        An embedding has length 1, or is NaN where the graph gives none that has a direction. What it is of: of a style
        ranker both texts, each weighing as much (`Towers.score_and_embed`); of the others their one sequence.
        """
        pairs, wanted = encoded.pairs, encoded.starts[1:] - 1
        raw, vectors = self._model.score_and_embed(pairs, wanted, on_batch)
        scores = self._whole(self._believed(pairs, raw), encoded)
        vectors = shaped(vectors, len(wanted), self.bundle.width)
        run_again(vectors, lambda number: self._embedded_alone(pairs, int(wanted[number])))
        return scores, vectors.astype(np.float16)

    def _embedded_alone(self, pairs: Pairs, number: int) -> NDArray[np.float32]:
        alone = pairs.take(np.asarray([number]))
        vector: NDArray[np.float32] = self._model.score_and_embed(alone, np.asarray([0]))[1][0]
        return vector

    def score_pairs(self, pairs: Pairs, on_batch: Batch | None = None) -> Scores:
        """Score pairs, each for itself; one without a finite score is run once more, alone, where these are few.

        The trend with the response's length is taken off, where the bundle has one: every engine's scores alike.
        Raises RunError where the engine gives too few scores, or one and the same for pairs that differ.
        """
        return self._believed(pairs, self._model.score(pairs, on_batch))

    def _believed(self, pairs: Pairs, scores: NDArray[np.float32]) -> Scores:
        if len(scores) != len(pairs):
            raise RunError(f"the engine gave {len(scores)} scores for {len(pairs)} pairs")
        run_again(scores, lambda number: self._model.score(pairs.take(np.asarray([number])))[0])
        refuse_constant(scores, pairs)
        if self.calibration.length:
            scores = self.calibration.length.apply(scores, pairs.response_tokens)
        return Scores(scores, pairs.lengths.astype(np.int32), pairs.truncated)

    def check(self) -> None:
        """Run a few known texts. Raises RunError where the engine does not give the scores that it gave at first."""
        if self._canaries:
            self._canaries.check(self._model)


def _explained(scores: Scores, number: int) -> Explained:
    score, tokens = float(scores.scores[number]), int(scores.tokens[number])
    truncated = bool(scores.truncated[number])
    if not np.isfinite(score):
        return Explained(
            None, Reason.NON_FINITE, "the model gave no finite score, also alone", tokens, truncated
        )
    columns = {name: float(values[number]) for name, values in scores.columns.items()}
    return Explained(score, None, "", tokens, truncated, columns)

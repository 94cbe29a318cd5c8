"""Records as pairs of (turns, answer), and the scores of a record's several answers as one. Knows no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scar.encoding import PairEncoder, Pairs, encode_for
from scar.records import Record, Turn

MOST_ANSWERS = 256
"""Of a dialogue with more answers the last ones are scored: each is encoded with all that was said before it."""


@dataclass(frozen=True)
class Scores:
    """What the model says of some pairs; arrays of shape (n,)."""

    scores: NDArray[np.float32]
    """NaN where the model gave no finite number."""
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    columns: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """What the scores of whole records mean, by column: probability, percentile, p_seen."""


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


def encode_records(encoders: Sequence[PairEncoder], records: Sequence[Record]) -> list[Encoded]:
    """Tokenise records for several rankers: once for each distinct tokenizer, each distinct text once."""
    answers = [_answers(record) for record in records]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in answers], dtype=np.int64)])
    skipped = np.asarray([len(record.answers) >= MOST_ANSWERS for record in records], dtype=bool)
    return [
        Encoded(pairs, starts.astype(np.int64), skipped)
        for pairs in encode_for(encoders, (pair for each in answers for pair in each))
    ]


def _answers(record: Record) -> list[tuple[Sequence[Turn], str]]:
    """Give each answer of a record that is scored with the turns before it, the last answers only of very many."""
    turns = record.turns
    earlier = record.answers[max(0, len(record.answers) - MOST_ANSWERS + 1) :]
    return [*((turns[:place], turns[place].text) for place in earlier), (turns, record.response)]


def together(scores: Scores, encoded: Encoded, aggregate: str) -> Scores:
    """Make one score of each record's: their mean, the least, or the last; one of them not finite spoils it."""
    if not encoded.several:
        return scores
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

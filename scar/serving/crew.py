"""All that says something of a pool's records: the rankers, and what embeds them, if anything does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.encoding import Pairs
from scar.records import Record
from scar.serving.answers import Encoded, Scores, encode_records
from scar.serving.embedder import Embedder
from scar.serving.engines import Batch
from scar.serving.scorer import Scorer


@dataclass(frozen=True)
class Tokens:
    """Records as the models see them."""

    encoded: list[Encoded]
    """For each ranker."""
    whole: Pairs | None = None
    """For the encoder, where one embeds beside the rankers: a pair a record."""

    @property
    def total(self) -> int:
        """Tokens that go through encoders: those of distinct texts, for all models."""
        pairs = [*(each.pairs for each in self.encoded), *([] if self.whole is None else [self.whole])]
        return sum(int(each.tokens.lengths.sum()) for each in pairs)


@dataclass(frozen=True)
class Said:
    """What the models say of n records."""

    scores: dict[str, Scores]
    """By ranker."""
    embeddings: NDArray[np.float16] | None = None
    """(n, d), each of length 1, or NaN where it has no direction; None where none were asked for."""


@dataclass(frozen=True)
class Crew:
    """The rankers of a run, and what embeds: an encoder of its own, or the first ranker's graph."""

    scorers: Sequence[Scorer]
    embedder: Embedder | None = None
    embeds: bool = False
    """Whether the first ranker embeds, in the pass that scores."""

    @property
    def models(self) -> list[Scorer | Embedder]:
        """All that is loaded."""
        return [*self.scorers, *([self.embedder] if self.embedder else [])]

    def encode(self, records: Sequence[Record]) -> Tokens:
        """Tokenise records for all of them."""
        encoded = encode_records([scorer.encoder for scorer in self.scorers], records)
        return Tokens(encoded, self.embedder.encode(records) if self.embedder else None)

    def say(self, tokens: Tokens, on_batch: Batch | None = None) -> Said:
        """Score tokenised records with every ranker, and embed them where that was asked for."""
        scores: dict[str, Scores] = {}
        embeddings = None
        for number, (scorer, encoded) in enumerate(zip(self.scorers, tokens.encoded, strict=True)):
            if self.embeds and number == 0:
                scores[scorer.name], embeddings = scorer.score_and_embed(encoded, on_batch)
            else:
                scores[scorer.name] = scorer.score_encoded(encoded, on_batch)
        if self.embedder and tokens.whole is not None:
            embeddings = self.embedder.embed_pairs(tokens.whole, on_batch).astype(np.float16)
        return Said(scores, embeddings)

    def check(self) -> None:
        """Run known texts. Raises RunError where an engine does not give what it gave before."""
        for model in self.models:
            model.check()

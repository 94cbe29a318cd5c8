"""Other ways to batch the same texts, to show what a run's own way gains: it sorts by length, and each text once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.encoding import Pairs
from scar.serving.engines import Batch
from scar.serving.models import Model


@dataclass(frozen=True)
class _Wrapped:
    """A model whose texts are batched in another way."""

    model: Model

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, padding counted."""
        return self.model.batch_tokens

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.model.engine

    @property
    def precision(self) -> str:
        """Number format."""
        return self.model.precision

    def score_in(
        self,
        pairs: Pairs,
        batches: Iterable[NDArray[np.int64]],
        *,
        width: int = 0,
        on_batch: Batch | None = None,
    ) -> NDArray[np.float32]:
        """Score pairs in given batches."""
        return self.model.score_in(pairs, batches, width=width, on_batch=on_batch)

    def score_and_embed(
        self, pairs: Pairs, wanted: NDArray[np.int64], on_batch: Batch | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Do as the model does: what is timed here asks for no embeddings."""
        return self.model.score_and_embed(pairs, wanted, on_batch)


class ArrivalOrder(_Wrapped):
    """Packs texts in the order in which they come, not by length; the budget of a batch is the same."""

    def score(self, pairs: Pairs, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Give the score of each pair, shape (n,)."""
        batches = arrival_batches(pairs.tokens.lengths, self.batch_tokens)
        return self.score_in(pairs, batches, on_batch=on_batch)


class EachAnew(_Wrapped):
    """Encodes the texts of every pair, however often they came before."""

    def score(self, pairs: Pairs, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Give the score of each pair, shape (n,)."""
        return self.model.score(repeated(pairs), on_batch)


WAYS: dict[str, Callable[[Model], Model]] = {"arrival": ArrivalOrder, "anew": EachAnew}


def arrival_batches(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield text numbers in order, so that no padded batch exceeds `batch_tokens` (but for one long text)."""
    start = longest = 0
    for number, length in enumerate(lengths.tolist()):
        if number > start and max(longest, length) * (number + 1 - start) > batch_tokens:
            yield np.arange(start, number)
            start, longest = number, 0
        longest = max(longest, length)
    if len(lengths):
        yield np.arange(start, len(lengths))


def repeated(pairs: Pairs) -> Pairs:
    """Give the same pairs, each with texts of its own."""
    texts = np.arange(pairs.texts.size, dtype=np.int64).reshape(pairs.texts.shape)
    return Pairs(pairs.tokens.take(pairs.texts.reshape(-1)), texts, pairs.response_tokens)

"""Run a ranker of one graph over sequences: each distinct sequence goes through it once.

Arrays: sequences (T,) and (T, H) for what the graph yields, pairs (N,) for scores.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.encoding import Pairs
from scar.errors import RunError
from scar.serving.batches import run_batches
from scar.serving.engines import Batch, Engine, Runtime
from scar.serving.engines.memory import TokenBudget
from scar.tokens import TokenLists, length_batches


class Cross:
    """The one graph of a quality or unseen ranker on an engine: `score` (N,) and `embedding` (N, H)."""

    def __init__(self, model: Engine, pad_id: int, batch_tokens: int) -> None:
        self.model = model
        self.pad_id = pad_id
        self.budget = TokenBudget(batch_tokens)

    @classmethod
    def load(cls, folder: Path, graph: str, *, pad_id: int, batch_tokens: int, runtime: Runtime) -> "Cross":
        """Open the graph of a bundle."""
        return cls(runtime.open(folder / graph), pad_id, batch_tokens)

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, padding counted: fewer than at first where memory ran out."""
        return self.budget.tokens

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.model.name

    @property
    def precision(self) -> str:
        """Number format of the graph."""
        return self.model.precision

    def score(self, pairs: Pairs, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Score pairs, their sequences packed by length."""
        return self.score_in(
            pairs, length_batches(pairs.tokens.lengths, self.batch_tokens), on_batch=on_batch
        )

    def score_in(
        self,
        pairs: Pairs,
        batches: Iterable[NDArray[np.int64]],
        *,
        width: int = 0,
        on_batch: Batch | None = None,
    ) -> NDArray[np.float32]:
        """Score pairs with their sequences in given batches, padded to at least `width`."""
        scores = np.zeros(len(pairs.tokens), dtype=np.float32)
        for texts, some in self._run("score", pairs.tokens, batches, width, on_batch):
            if some.size != len(texts):
                raise RunError(f"the engine gave {some.size} scores for {len(texts)} sequences")
            scores[texts] = some.reshape(-1)
        return scores[pairs.x]

    def embed(self, tokens: TokenLists, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Give the masked mean of the last hidden states of each sequence, (T, H)."""
        found: NDArray[np.float32] = np.zeros((len(tokens), 0), dtype=np.float32)
        batches = length_batches(tokens.lengths, self.batch_tokens)
        for texts, some in self._run("embedding", tokens, batches, 0, on_batch):
            if not found.shape[1]:
                found = np.zeros((len(tokens), some.shape[1]), dtype=np.float32)
            found[texts] = some
        return found

    def _run(
        self,
        output: str,
        tokens: TokenLists,
        batches: Iterable[NDArray[np.int64]],
        width: int,
        on_batch: Batch | None,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        results = run_batches(
            self.model, [output], tokens, batches, pad_id=self.pad_id, budget=self.budget, width=width
        )
        for texts, some in results:
            yield texts, some[0]
            if on_batch:
                on_batch(*tokens.load(texts, width))

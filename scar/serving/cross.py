"""Run a ranker of one graph, or an encoder, over sequences: each distinct sequence goes through it once.

Arrays: sequences (T,) and (T, H) for what the graph yields, pairs (N,) for scores; of an encoder, (N, H).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.encoding import Pairs
from scar.errors import RunError
from scar.serving.batches import run_batches
from scar.serving.engines import Arrays, Batch, Engine, Runtime
from scar.serving.engines.memory import TokenBudget
from scar.serving.vectors import unit
from scar.tokens import TokenLists, length_batches


class Cross:
    """The one graph of a quality or unseen ranker on an engine: `score` (N,) and `embedding` (N, H).

    That of an encoder has no score: what it `says` of a pair is the embedding.
    """

    def __init__(self, model: Engine, pad_id: int, batch_tokens: int, says: str = "score") -> None:
        self.model = model
        self.pad_id = pad_id
        self.says = says
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
        said = self._collect([self.says], pairs.tokens, batches, width, on_batch)[0]
        return said[pairs.x]

    def score_and_embed(
        self, pairs: Pairs, wanted: NDArray[np.int64], on_batch: Batch | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score all pairs and embed some, in one pass: (N,), and (len(wanted), H), each of length 1 or NaN."""
        batches = length_batches(pairs.tokens.lengths, self.batch_tokens)
        scores, means = self._collect(["score", "embedding"], pairs.tokens, batches, 0, on_batch)
        return scores[pairs.x], unit(means[pairs.x[wanted]])

    def embed(self, tokens: TokenLists, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Give the masked mean of the last hidden states of each sequence, (T, H)."""
        batches = length_batches(tokens.lengths, self.batch_tokens)
        return self._collect(["embedding"], tokens, batches, 0, on_batch)[0]

    def _collect(
        self,
        outputs: Sequence[str],
        tokens: TokenLists,
        batches: Iterable[NDArray[np.int64]],
        width: int,
        on_batch: Batch | None,
    ) -> list[NDArray[np.float32]]:
        """Give outputs of all sequences, each (T,) or (T, H)."""
        found = [
            np.zeros((len(tokens), 0) if name == "embedding" else len(tokens), np.float32) for name in outputs
        ]
        for texts, some in self._run(outputs, tokens, batches, width, on_batch):
            for place, (name, values) in enumerate(zip(outputs, some, strict=True)):
                if name == "score":
                    if values.size != len(texts):
                        raise RunError(f"the engine gave {values.size} scores for {len(texts)} sequences")
                    values = values.reshape(-1)
                elif not found[place].shape[1]:
                    found[place] = np.zeros((len(tokens), values.shape[1]), np.float32)
                found[place][texts] = values
        return found

    def _run(
        self,
        outputs: Sequence[str],
        tokens: TokenLists,
        batches: Iterable[NDArray[np.int64]],
        width: int,
        on_batch: Batch | None,
    ) -> Iterator[tuple[NDArray[np.int64], Arrays]]:
        results = run_batches(
            self.model, outputs, tokens, batches, pad_id=self.pad_id, budget=self.budget, width=width
        )
        for texts, some in results:
            yield texts, some
            if on_batch:
                on_batch(*tokens.load(texts, width))

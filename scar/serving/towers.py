"""Run a style ranker's two graphs over pairs: each distinct text goes through the tower once.

Arrays: texts (T, H) for what the tower yields, pairs (N,) for scores.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.bundle import HEAD
from scar.encoding import Pairs
from scar.errors import RunError
from scar.serving.batches import run_batches
from scar.serving.engines import Batch, Engine, Runtime
from scar.serving.engines.memory import TokenBudget, is_out_of_memory
from scar.tokens import TokenLists, length_batches

HEAD_PAIRS = 1024


class Towers:
    """The tower and the head of a style ranker on an engine."""

    def __init__(self, tower: Engine, head: Engine, pad_id: int, batch_tokens: int) -> None:
        self.tower = tower
        self.head = head
        self.pad_id = pad_id
        self.budget = TokenBudget(batch_tokens)

    @classmethod
    def load(cls, folder: Path, graph: str, *, pad_id: int, batch_tokens: int, runtime: Runtime) -> "Towers":
        """Open a tower graph of a bundle, and its head, which is fp32 always."""
        return cls(runtime.open(folder / graph), runtime.head().open(folder / HEAD), pad_id, batch_tokens)

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, padding counted: fewer than at first where memory ran out."""
        return self.budget.tokens

    @property
    def engine(self) -> str:
        """Name of the engine."""
        return self.tower.name

    @property
    def precision(self) -> str:
        """Number format of the tower."""
        return self.tower.precision

    def score(self, pairs: Pairs, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Score pairs: pack distinct texts by length, run the tower, then the head on each pair."""
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
        """Score pairs with their texts in given batches, padded to at least `width`."""
        if not len(pairs):
            return np.zeros(0, dtype=np.float32)
        pooled, form = self._encode(pairs.tokens, batches, width, on_batch)
        starts = range(0, len(pairs), HEAD_PAIRS)
        return np.concatenate(
            [
                self._head(pooled[x], pooled[y], form[y])
                for x, y in ((pairs.x[n : n + HEAD_PAIRS], pairs.y[n : n + HEAD_PAIRS]) for n in starts)
            ]
        )

    def _head(
        self, x_pooled: NDArray[np.float32], y_pooled: NDArray[np.float32], y_form: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        feeds = {"x_pooled": x_pooled, "y_pooled": y_pooled, "y_form": y_form}
        try:
            scores = self.head.run(["score"], feeds)[0].reshape(-1)
        except Exception as error:  # the libraries share no class of error
            if len(x_pooled) == 1 or not is_out_of_memory(error):
                raise
            scores = None
        if scores is None:
            half = len(x_pooled) // 2
            parts = slice(half), slice(half, None)
            return np.concatenate([self._head(x_pooled[n], y_pooled[n], y_form[n]) for n in parts])
        if len(scores) != len(x_pooled):
            raise RunError(f"the engine gave {len(scores)} scores for {len(x_pooled)} pairs")
        return scores

    def _encode(
        self, tokens: TokenLists, batches: Iterable[NDArray[np.int64]], width: int, on_batch: Batch | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        results = run_batches(
            self.tower,
            ["pooled", "form"],
            tokens,
            batches,
            pad_id=self.pad_id,
            budget=self.budget,
            width=width,
        )
        pooled = form = np.zeros((0, 0), np.float32)
        for texts, some in results:
            if not pooled.size:
                shape = (len(tokens), some[0].shape[1])
                pooled, form = np.empty(shape, np.float32), np.empty(shape, np.float32)
            pooled[texts], form[texts] = some
            if on_batch:
                on_batch(*tokens.load(texts, width))
        return pooled, form

"""Run a style ranker's two graphs over pairs: each distinct text goes through the tower once.

Arrays: texts (T, H) for what the tower yields, pairs (N,) for scores.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.bundle import HEAD
from scar.encoding import Pairs
from scar.errors import RunError
from scar.serving.batches import run_batches
from scar.serving.engines import Batch, Engine, Runtime
from scar.serving.engines.memory import TokenBudget, is_out_of_memory
from scar.serving.vectors import unit
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
        pooled, form = self._encode(["pooled", "form"], pairs.tokens, batches, width, on_batch)
        return self._scored(pairs, pooled, form)

    def score_and_embed(
        self, pairs: Pairs, wanted: NDArray[np.int64], on_batch: Batch | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score all pairs and embed some, in one pass: (N,), and (len(wanted), H), each of length 1 or NaN.

        A pair lies in the direction of the sum of its texts' mean states, each brought to length 1 before: the response
        alone would take two equal answers to different questions for copies, and a mean over the tokens of both would
        be that of the longer one.
        """
        batches = length_batches(pairs.tokens.lengths, self.batch_tokens)
        outputs = ["pooled", "form", "mean"]
        pooled, form, mean = self._encode(outputs, pairs.tokens, batches, 0, on_batch)
        mean = unit(mean)
        return self._scored(pairs, pooled, form), unit(mean[pairs.x[wanted]] + mean[pairs.y[wanted]])

    def _scored(
        self, pairs: Pairs, pooled: NDArray[np.float32], form: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if not len(pairs):
            return np.zeros(0, dtype=np.float32)
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
        self,
        outputs: Sequence[str],
        tokens: TokenLists,
        batches: Iterable[NDArray[np.int64]],
        width: int,
        on_batch: Batch | None,
    ) -> list[NDArray[np.float32]]:
        """Give outputs of the tower for all texts, each (T, H)."""
        results = run_batches(
            self.tower,
            outputs,
            tokens,
            batches,
            pad_id=self.pad_id,
            budget=self.budget,
            width=width,
        )
        found = [np.zeros((0, 0), np.float32) for _ in outputs]
        for texts, some in results:
            if not found[0].size:
                found = [np.empty((len(tokens), each.shape[1]), np.float32) for each in some]
            for whole, part in zip(found, some, strict=True):
                whole[texts] = part
            if on_batch:
                on_batch(*tokens.load(texts, width))
        return found

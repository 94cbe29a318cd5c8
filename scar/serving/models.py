"""A bundle's graphs as one thing that scores tokenised pairs, whatever the kind."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scar.bundle import Graphs
from scar.encoding import Pairs
from scar.serving.cross import Cross
from scar.serving.engines import Batch, Runtime
from scar.serving.engines.pytorch import Torch, open_torch
from scar.serving.towers import Towers


class Model(Protocol):
    """Anything that scores tokenised pairs: two graphs of a style ranker, one of the others, or a model in torch.

    What an encoder gives a pair in the place of a score is its embedding: (n, H) wherever it says (n,).
    """

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch, padding counted."""
        ...

    @property
    def engine(self) -> str:
        """Name of the engine."""
        ...

    @property
    def precision(self) -> str:
        """Number format."""
        ...

    def score(self, pairs: Pairs, on_batch: Batch | None = None) -> NDArray[np.float32]:
        """Give the score of each pair, shape (n,), packed by length."""
        ...

    def score_in(
        self,
        pairs: Pairs,
        batches: Iterable[NDArray[np.int64]],
        *,
        width: int = 0,
        on_batch: Batch | None = None,
    ) -> NDArray[np.float32]:
        """Score pairs with their sequences in given batches, padded to at least `width`."""
        ...

    def score_and_embed(
        self, pairs: Pairs, wanted: NDArray[np.int64], on_batch: Batch | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score all pairs and embed some, in one pass: (n,), and (len(wanted), H), each of length 1 or NaN."""
        ...


def load_model(
    folder: Path, graphs: Graphs, graph: str, *, pad_id: int, batch_tokens: int, runtime: Runtime
) -> Model:
    """Open a graph of a folder, with what stands beside it, to be run in the way that `runtime` says.

    On the torch engine it is the ranker itself that runs, whatever the graph.
    """
    if runtime.engine == Torch.name:
        body, *head = open_torch(folder, runtime.precision, runtime.device)
        if head:
            return Towers(body, head[0], pad_id, batch_tokens)
        return Cross(body, pad_id, batch_tokens, graphs.says)
    if graphs.beside:
        return Towers.load(folder, graph, pad_id=pad_id, batch_tokens=batch_tokens, runtime=runtime)
    return Cross(runtime.open(folder / graph), pad_id, batch_tokens, graphs.says)

"""Judged rows -> batches of sequences with their targets.

G rows in a batch, k sequences a row: one, or the chosen and the rejected. S distinct sequences.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scar.encoding import Pair, PairEncoder
from scar.records import Judged
from scar.settings import TrainSettings
from scar.tokens import TokenLists
from scar.training.batches import Pack, batch_tokens, packs
from scar.training.quality.objectives import Targets


class CrossBatch(NamedTuple):
    """Some rows: what to encode, which sequence plays which part, and what the scores are to become."""

    packs: list[Pack]
    sequences: Tensor
    """(G, k) places of each row's sequences."""
    targets: Tensor
    """(G,) in [0, 1] for single responses; the margins for pairs."""


@dataclass(frozen=True)
class CrossExamples:
    """All rows of a split as arrays, ready to be batched."""

    tokens: TokenLists
    sequences: NDArray[np.int64]
    """(rows, k)"""
    targets: NDArray[np.float32]
    pad_id: int
    batch_tokens: int

    @classmethod
    def of(cls, targets: Targets, encoder: PairEncoder, settings: TrainSettings) -> "CrossExamples":
        """Tokenise judged rows."""
        rows = targets.rows
        values = targets.y if targets.y is not None else targets.margins
        return cls.of_pairs(pairs_of(rows), 2 if rows and rows[0].paired else 1, values, encoder, settings)

    @classmethod
    def of_pairs(
        cls,
        pairs: Sequence[Pair],
        width: int,
        values: NDArray[np.float32] | None,
        encoder: PairEncoder,
        settings: TrainSettings,
    ) -> "CrossExamples":
        """Tokenise pairs of turns and response, `width` of them a row; values default to zeros."""
        encoded = encoder.encode(pairs)
        rows = len(pairs) // width
        return cls(
            encoded.tokens,
            encoded.x.reshape(rows, width),
            np.zeros(rows, dtype=np.float32) if values is None else values,
            encoder.settings.pad_id,
            batch_tokens(settings),
        )

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.sequences)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, all its sequences."""
        lengths: NDArray[np.int64] = self.tokens.lengths[self.sequences].sum(axis=1)
        return lengths

    def batch(self, rows: Sequence[int]) -> CrossBatch:
        """Collate some rows."""
        chosen = self.sequences[list(rows)]
        used, places = np.unique(chosen, return_inverse=True)
        return CrossBatch(
            packs(self.tokens, used, self.pad_id, self.batch_tokens),
            torch.from_numpy(places.reshape(chosen.shape).copy()),
            torch.from_numpy(self.targets[list(rows)]),
        )


def pairs_of(rows: Sequence[Judged]) -> list[Pair]:
    """Give every response of the rows with what it answers, in order."""
    return [(row.turns, response) for row in rows for response in row.responses]

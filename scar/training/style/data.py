"""Tier groups -> batches. Constraints are applied before loading, so that the schedule sees the true steps.

G groups in a batch, T tiers, P ordered tier pairs. A batch holds each distinct text once, packed by length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scar.encoding import PairEncoder
from scar.records import Tiers
from scar.settings import StyleSettings
from scar.tokens import TokenLists
from scar.training.batches import Pack, batch_tokens, packs
from scar.training.style.constraints import eligible, tier_pairs


class StyleBatch(NamedTuple):
    """Some groups: what to encode, and which text plays which part."""

    packs: list[Pack]
    x: Tensor
    """(G,) place of each group's instruction."""
    y: Tensor
    """(G, T) place of each response; 0 where `present` is false."""
    present: Tensor
    """(G, T) whether the group has this tier."""
    eligible: Tensor
    """(G, P) whether this tier pair teaches."""
    triplet: Tensor
    """(G,) whether the triplet losses use this group."""


@dataclass(frozen=True)
class Groups:
    """All groups of a split as arrays, ready to be batched."""

    tokens: TokenLists
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    """(G, T), -1 where a tier is missing."""
    eligible: NDArray[np.bool_]
    triplet: NDArray[np.bool_]
    pad_id: int
    batch_tokens: int

    @classmethod
    def of(
        cls,
        rows: Sequence[Tiers],
        teaching: Sequence[set[tuple[str, str]]],
        encoder: PairEncoder,
        settings: StyleSettings,
    ) -> "Groups":
        """Tokenise rows; `teaching` gives the tier pairs of each row that count in the loss."""
        pairs = encoder.encode((row.turns, text) for row in rows for text in row.responses.values())
        y = np.full((len(rows), len(settings.tiers)), -1, dtype=np.int64)
        x = np.zeros(len(rows), dtype=np.int64)
        flat = 0
        for number, row in enumerate(rows):
            for tier in row.responses:
                x[number], y[number, settings.tiers.index(tier)] = pairs.x[flat], pairs.y[flat]
                flat += 1
        order = tier_pairs(settings.tiers)
        allowed = np.array([[pair in some for pair in order] for some in teaching], dtype=bool)
        roles = set().union(*settings.triplet_roles.values()) if settings.triplet_roles else set()
        needed = {pair for pair in order if set(pair) <= roles}
        triplet = np.array([bool(needed) and needed <= some for some in teaching], dtype=bool)
        return cls(
            pairs.tokens,
            x,
            y,
            allowed.reshape(len(rows), len(order)),
            triplet,
            encoder.settings.pad_id,
            batch_tokens(settings),
        )

    def __len__(self) -> int:
        """Give the number of groups."""
        return len(self.x)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each group: its instruction and all its responses."""
        tokens = self.tokens.lengths
        responses: NDArray[np.int64] = np.where(self.y >= 0, tokens[self.y], 0).sum(axis=1)
        return tokens[self.x] + responses

    def batch(self, groups: Sequence[int]) -> StyleBatch:
        """Collate some groups."""
        x, y = self.x[list(groups)], self.y[list(groups)]
        used, places = np.unique(np.concatenate([x, y[y >= 0]]), return_inverse=True)
        local = np.zeros_like(y)
        local[y >= 0] = places[len(x) :]
        return StyleBatch(
            packs(self.tokens, used, self.pad_id, self.batch_tokens),
            torch.from_numpy(places[: len(x)].copy()),
            torch.from_numpy(local),
            torch.from_numpy(y >= 0),
            torch.from_numpy(self.eligible[list(groups)]),
            torch.from_numpy(self.triplet[list(groups)]),
        )


def teaching_rows(
    rows: Sequence[Tiers], mode: str, settings: StyleSettings
) -> tuple[list[Tiers], list[set[tuple[str, str]]]]:
    """Drop the rows without a pair that teaches; gives the others and their pairs."""
    found = [(row, eligible(row, mode, settings)) for row in rows]
    kept = [(row, pairs) for row, pairs in found if pairs]
    return [row for row, _ in kept], [pairs for _, pairs in kept]

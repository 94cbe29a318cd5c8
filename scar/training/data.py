"""Tier groups -> batches. Constraints are applied before loading, so that the schedule sees the true steps.

G groups in a batch, T tiers, P ordered tier pairs. A batch holds each distinct text once, packed by length.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from scar.encoding import PairEncoder
from scar.records import Tiers
from scar.settings import StyleSettings
from scar.tokens import TokenLists, tight_batches
from scar.training.constraints import eligible, tier_pairs

WINDOW = 16
"""Batches whose groups are sorted by length together."""
OVERHEAD = 16
"""A pass through the encoder costs, beside its tokens, this part of the token budget (measured on 2 CPU cores)."""


class Pack(NamedTuple):
    """Texts that go through the encoder together: ids and mask (N, L), and their places in the batch."""

    input_ids: Tensor
    attention_mask: Tensor
    places: Tensor


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


def batch_tokens(settings: StyleSettings) -> int:
    """Give the token budget: small batches stay in a CPU's cache and carry less padding, a GPU wants large ones."""
    return settings.batch_tokens or (16_384 if on_gpu(settings) else 1024)


def on_gpu(settings: StyleSettings) -> bool:
    """Tell whether the training will run on a GPU: there is one, and the recipe does not ask for something else."""
    wanted = str(settings.trainer.get("accelerator", "auto"))
    return wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available()


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
        batches = tight_batches(self.tokens.lengths[used], self.batch_tokens, self.batch_tokens // OVERHEAD)
        packs = [self._pack(used, texts) for texts in batches]
        return StyleBatch(
            packs,
            torch.from_numpy(places[: len(x)].copy()),
            torch.from_numpy(local),
            torch.from_numpy(y >= 0),
            torch.from_numpy(self.eligible[list(groups)]),
            torch.from_numpy(self.triplet[list(groups)]),
        )

    def _pack(self, used: NDArray[np.int64], texts: NDArray[np.int64]) -> Pack:
        ids, mask = self.tokens.padded(used[texts], self.pad_id)
        return Pack(torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(texts.copy()))


def teaching_rows(
    rows: Sequence[Tiers], mode: str, settings: StyleSettings
) -> tuple[list[Tiers], list[set[tuple[str, str]]]]:
    """Drop the rows without a pair that teaches; gives the others and their pairs."""
    found = [(row, eligible(row, mode, settings)) for row in rows]
    kept = [(row, pairs) for row, pairs in found if pairs]
    return [row for row, _ in kept], [pairs for _, pairs in kept]


@dataclass(frozen=True)
class GroupBatches:
    """The order of an epoch: shuffled, neighbours of like length, then the batches shuffled; a share for each process.

    It depends on seed and epoch only, so a resumed run sees the very batches of an uninterrupted one.
    """

    lengths: NDArray[np.int64]
    size: int
    seed: int
    epoch: int
    rank: int = 0
    world: int = 1

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the group numbers of each batch."""
        batches = self._all()
        # Every process takes the same number of steps: the first batches come again where the division leaves a rest.
        steps = len(self) * self.world
        yield from islice(cycle(batches), self.rank, steps, self.world)

    def __len__(self) -> int:
        """Give the number of batches of this process."""
        return math.ceil(math.ceil(len(self.lengths) / self.size) / self.world)

    def _all(self) -> list[list[int]]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(len(self.lengths))
        span = WINDOW * self.size
        windows = [order[start : start + span] for start in range(0, len(order), span)]
        by_length = [window[np.argsort(-self.lengths[window], kind="stable")] for window in windows]
        batches = [
            w[start : start + self.size].tolist() for w in by_length for start in range(0, len(w), self.size)
        ]
        return [batches[number] for number in random.permutation(len(batches))]


@dataclass(frozen=True)
class EpochBatches:
    """A batch sampler that looks up which epoch it is whenever one begins."""

    now: Callable[[], GroupBatches]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of the epoch that begins.

        A generator: at a resume Lightning makes the iterator while it still counts the epoch before, and asks for the
        first batch only when the next has begun.
        """
        yield from self.now()

    def __len__(self) -> int:
        """Give the number of batches, the same in every epoch."""
        return len(self.now())


class StyleData(pl.LightningDataModule):
    """The loaders of a style ranker."""

    def __init__(self, train: Groups, validation: Groups | None, settings: StyleSettings) -> None:
        """`validation` is None where the last epoch is taken as it is."""
        super().__init__()
        self.train, self.validation, self.settings = train, validation, settings

    def train_dataloader(self) -> DataLoader[StyleBatch]:
        """Give the batches of an epoch, which is asked for when the epoch begins: at a resume it is not yet known."""
        assert self.trainer is not None
        trainer, settings = self.trainer, self.settings
        batches = EpochBatches(
            lambda: GroupBatches(
                self.train.lengths,
                settings.batch_size,
                settings.seed,
                trainer.current_epoch,
                trainer.global_rank,
                trainer.world_size,
            )
        )
        return _loader(self.train, batches)

    def val_dataloader(self) -> DataLoader[StyleBatch] | list[None]:
        """Give the validation groups, all of them to every process."""
        if self.validation is None:
            return []
        size, groups = 4 * self.settings.batch_size, range(len(self.validation))
        return _loader(self.validation, [list(groups[n : n + size]) for n in groups[::size]])


def _loader(groups: Groups, batches: EpochBatches | list[list[int]]) -> DataLoader[StyleBatch]:
    numbers: Sequence[int] = range(len(groups))
    return DataLoader(numbers, batch_sampler=batches, collate_fn=groups.batch)  # type: ignore[arg-type]

"""Examples -> batches: neighbours of like length together, each distinct sequence of a batch packed once.

What an example is, its kind says: it has a length, and a batch is made of some of them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, NamedTuple, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from scar.settings import TrainSettings
from scar.tokens import TokenLists, tight_batches

WINDOW = 16
"""Batches whose examples are sorted by length together."""
OVERHEAD = 16
"""A pass through the encoder costs, beside its tokens, this part of the token budget (measured on 2 CPU cores)."""


class Pack(NamedTuple):
    """Sequences that go through the encoder together: what it is fed, each (N, L), and their places in the batch."""

    feeds: dict[str, Tensor]
    places: Tensor


class Examples(Protocol):
    """All examples of a split, ready to be batched."""

    def __len__(self) -> int:
        """Give the number of examples."""
        ...

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example."""
        ...

    def batch(self, examples: Sequence[int]) -> Any:
        """Collate some examples."""
        ...


def packs(tokens: TokenLists, used: NDArray[np.int64], pad_id: int, batch_tokens: int) -> list[Pack]:
    """Pack the sequences `used`, by length; places count within `used`."""
    batches = tight_batches(tokens.lengths[used], batch_tokens, batch_tokens // OVERHEAD)
    return [
        Pack(
            {name: torch.from_numpy(some) for name, some in tokens.feeds(used[texts], pad_id).items()},
            torch.from_numpy(texts.copy()),
        )
        for texts in batches
    ]


def unpack(parts: Sequence[Tensor], batch: Sequence[Pack]) -> Tensor:
    """Put what the encoder says of each pack back into the order of the batch."""
    back = torch.argsort(torch.cat([pack.places for pack in batch]))
    return torch.cat(list(parts))[back]


def batch_tokens(settings: TrainSettings) -> int:
    """Give the token budget: small batches stay in a CPU's cache and carry less padding, a GPU wants large ones."""
    return settings.batch_tokens or (16_384 if on_gpu(settings) else 1024)


def on_gpu(settings: TrainSettings) -> bool:
    """Tell whether the training will run on a GPU: there is one, and the recipe does not ask for something else."""
    wanted = str(settings.trainer.get("accelerator", "auto"))
    return wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available()


@dataclass(frozen=True)
class LengthBatches:
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
        """Yield the example numbers of each batch."""
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

    now: Callable[[], LengthBatches]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of the epoch that begins.

        A generator: at a resume Lightning makes the iterator while it still counts the epoch before, and asks for the
        first batch only when the next has begun.
        """
        yield from self.now()

    def __len__(self) -> int:
        """Give the number of batches, the same in every epoch."""
        return len(self.now())


class ExampleData(pl.LightningDataModule):
    """The loaders of a training."""

    def __init__(self, train: Examples, validation: Examples | None, settings: TrainSettings) -> None:
        """`validation` is None where the last epoch is taken as it is."""
        super().__init__()
        self.train, self.validation, self.settings = train, validation, settings

    def train_dataloader(self) -> DataLoader[Any]:
        """Give the batches of an epoch, which is asked for when the epoch begins: at a resume it is not yet known."""
        assert self.trainer is not None
        trainer, settings = self.trainer, self.settings
        batches = EpochBatches(
            lambda: LengthBatches(
                self.train.lengths,
                settings.batch_size,
                settings.seed,
                trainer.current_epoch,
                trainer.global_rank,
                trainer.world_size,
            )
        )
        return _loader(self.train, batches)

    def val_dataloader(self) -> DataLoader[Any] | list[None]:
        """Give the validation examples, all of them to every process."""
        if self.validation is None:
            return []
        size, examples = 4 * self.settings.batch_size, range(len(self.validation))
        return _loader(self.validation, [list(examples[n : n + size]) for n in examples[::size]])


def _loader(examples: Examples, batches: EpochBatches | list[list[int]]) -> DataLoader[Any]:
    numbers: Sequence[int] = range(len(examples))
    return DataLoader(numbers, batch_sampler=batches, collate_fn=examples.batch)  # type: ignore[arg-type]

"""Sets of numbers of unequal size, one after the other. Numpy only."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """n sets: all values, shape (sum of sizes,), each set's sorted and without repeats; and the sizes, shape (n,)."""

    values: NDArray[np.uint32]
    sizes: Sizes

    def __len__(self) -> int:
        """Give the number of sets."""
        return len(self.sizes)

    @cached_property
    def starts(self) -> Sizes:
        """Where each set begins."""
        return np.cumsum(self.sizes) - self.sizes

    def __getitem__(self, number: int) -> NDArray[np.uint32]:
        """Give one set."""
        start = int(self.starts[number])
        return self.values[start : start + int(self.sizes[number])]


def spread(starts: Sizes, sizes: Sizes) -> NDArray[np.int64]:
    """Number the places of several runs: for each, its start and the `size - 1` places behind it, run after run."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    places: NDArray[np.int64] = np.arange(total, dtype=np.int64)
    places += np.repeat(starts - (ends - sizes), sizes)
    return places


def numbered(sizes: Sizes) -> NDArray[Any]:
    """Give to each place of several runs the number of its run."""
    return np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)

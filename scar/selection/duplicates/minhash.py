"""MinHash signatures of sets, and the keys of their bands, many sets at once. Numpy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.curve import Bands
from scar.selection.duplicates.mixing import high
from scar.selection.duplicates.ragged import Ragged

_PART = 1 << 16
"""Values that are permuted at once: they stay in the processor's cache."""


@dataclass(frozen=True)
class Permutations:
    """Permutations of 32 bits: x -> a x + b modulo 2^32 with an odd a, as in datasketch 2 ("affine32").

    They are applied to hashes, which are mixed already.
    """

    a: NDArray[np.uint32]
    b: NDArray[np.uint32]

    @classmethod
    def drawn(cls, n: int, seed: int) -> "Permutations":
        """Draw n permutations."""
        a, b = np.random.default_rng(seed).integers(0, 2**32, (2, n), dtype=np.uint32)
        return cls(a | np.uint32(1), b)

    def least(self, sets: Ragged) -> NDArray[np.uint32]:
        """Give the signatures, shape (permutations, sets): the least value under each; all ones of an empty set."""
        found = np.full((len(self.a), len(sets)), 0xFFFFFFFF, dtype=np.uint32)
        there = np.flatnonzero(sets.sizes)
        starts, ends = sets.starts[there], (sets.starts + sets.sizes)[there]
        begin = 0
        while begin < len(there):
            stop = max(begin + 1, int(np.searchsorted(ends, starts[begin] + _PART, side="right")))
            values = sets.values[starts[begin] : ends[stop - 1]]
            found[:, there[begin:stop]] = self._least(values, starts[begin:stop] - starts[begin])
            begin = stop
        return found

    def _least(self, values: NDArray[np.uint32], starts: NDArray[np.int64]) -> NDArray[np.uint32]:
        permuted = np.empty_like(values)
        found = np.empty((len(self.a), len(starts)), dtype=np.uint32)
        for number, (a, b) in enumerate(zip(self.a, self.b, strict=True)):
            np.multiply(values, a, out=permuted)
            np.add(permuted, b, out=permuted)
            np.minimum.reduceat(permuted, starts, out=found[number])
        return found


def band_keys(signatures: NDArray[np.uint32], bands: Bands) -> NDArray[np.uint32]:
    """Give each band's key, shape (bands, sets): sets that agree in a band have the same; others rarely have.

    Rarely is 1 in 2^32, which costs a comparison and no mistake: pairs are verified.
    """
    parts = signatures.reshape(bands.bands, bands.values, -1)
    keys = np.zeros((bands.bands, parts.shape[2]), dtype=np.uint64)
    for value in range(bands.values):
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + parts[:, value]
    return high(keys)

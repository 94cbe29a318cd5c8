"""How surely banded MinHash finds a pair, and the bands that are sure enough. Knows no text.

b bands of r values find a pair of similarity s with the probability 1 - (1 - s^r)^b (Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, 3.4).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError


@dataclass(frozen=True)
class Bands:
    """Bands of a signature: how many, and the values in each."""

    bands: int
    values: int

    def finds(self, similarity: float | NDArray[Any]) -> Any:
        """Give the probability that a pair of a similarity shares a band."""
        return 1.0 - (1.0 - np.asarray(similarity, dtype=np.float64) ** self.values) ** self.bands

    def false(self, threshold: float) -> float:
        """Give the mean probability that a pair below the threshold shares a band."""
        return float(self.finds(np.linspace(0.0, threshold, 257)[:-1]).mean())


def bands_for(threshold: float, recall: float, permutations: int) -> Bands:
    """Choose the bands that find a pair at the threshold with at least this probability, and fewest pairs below it.

    Raises InputError where so many permutations are too few.
    """
    fits = []
    for values in range(1, permutations + 1):
        bands = _least_bands(threshold**values, recall)
        if bands * values <= permutations:
            fits.append(Bands(bands, values))
    if not fits:
        least = _least_bands(threshold, recall)
        raise InputError(
            f"{permutations} permutations cannot find pairs of similarity {threshold} with a recall of {recall}: "
            f"give at least {least}"
        )
    return min(fits, key=lambda each: each.false(threshold))


def _least_bands(match: float, recall: float) -> int:
    """Give the fewest bands that suffice where one matches with this probability."""
    if match >= recall:
        return 1
    # The logarithm may round to the wrong side of a whole number, and tiny matches to zero bands.
    bands = max(1, int(np.ceil(np.log1p(-recall) / np.log1p(-max(match, 1e-300)))) - 1)
    while 1.0 - (1.0 - match) ** bands < recall and bands < 1 << 20:
        bands += 1
    return bands

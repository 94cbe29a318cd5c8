"""Many numbers made few: histograms and hexagons, so that a chart of a million records is as small as one of ten."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TAIL = 0.0005
"""Share at either end that may lie beyond a chart, where it would squeeze all else."""


def limits(values: NDArray[np.floating]) -> tuple[float, float]:
    """Give the ends of an axis for some numbers: all of them, but for far tails; never of no width."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    inner = np.quantile(values.astype(np.float64), [TAIL, 1 - TAIL])
    if 0 < inner[1] - inner[0] < (high - low) / 2:
        low, high = (float(end) for end in inner)
    if low == high:
        wide = abs(low) / 10 or 0.5
        low, high = low - wide, high + wide
    return low, high


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width; what lies beyond the ends counts in the last bins."""

    low: float
    high: float
    counts: NDArray[np.int64]
    beyond: int = 0
    """Numbers that lie beyond the ends."""

    @classmethod
    def of(cls, values: NDArray[np.floating], ends: tuple[float, float], bins: int) -> "Histogram":
        """Count numbers of shape (n,)."""
        low, high = ends
        inside = np.clip(((values - low) / (high - low) * bins).astype(np.int64), 0, bins - 1)
        beyond = int(((values < low) | (values > high)).sum())
        return cls(low, high, np.bincount(inside, minlength=bins), beyond)


@dataclass(frozen=True)
class Hexagons:
    """Counts of points in hexagons: centres of shape (m, 2) in the unit square, most in a row `across`."""

    centres: Floats
    counts: NDArray[np.int64]
    across: int


def hexagons(x: Floats, y: Floats, across: int, aspect: float) -> Hexagons:
    """Count points of the unit square in upright hexagons, by the nearer of two shifted grids.

    `aspect` is height by width of the square as it is drawn, so that the hexagons are regular there.
    """
    wide = 1 / across
    tall = wide * np.sqrt(3) / aspect
    first = np.rint(x / wide), np.rint(y / tall)
    second = np.floor(x / wide), np.floor(y / tall)
    # Distances as they are drawn: a unit upwards is `aspect` units across.
    near = _away(x - first[0] * wide, y - first[1] * tall, aspect)
    far = _away(x - (second[0] + 0.5) * wide, y - (second[1] + 0.5) * tall, aspect)
    i = np.where(near <= far, first[0], second[0] + 0.5)
    j = np.where(near <= far, first[1], second[1] + 0.5)
    cells, counts = np.unique(np.stack([i, j], axis=1), axis=0, return_counts=True)
    return Hexagons(cells * [wide, tall], counts, across)


def _away(across: Floats, up: Floats, aspect: float) -> Floats:
    return np.asarray(across**2 + (up * aspect) ** 2)


def levels(counts: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Give each count its class, 0 to number - 1, equally wide in the logarithm up to the greatest."""
    if not len(counts):
        return np.zeros(0, dtype=np.int64)
    top = np.log1p(counts.max())
    found: NDArray[np.int64] = np.minimum((np.log1p(counts) / top * number).astype(np.int64), number - 1)
    return found


def trend(x: Floats, y: Floats, bins: int = 16, fewest: int = 1) -> Floats:
    """Give the median of y in bins of x of about equal mass: shape (m, 2), mean x and median y of each."""
    if not len(x):
        return np.zeros((0, 2))
    parts = np.array_split(np.argsort(x, kind="stable"), min(bins, max(1, len(x) // max(fewest, 1))))
    return np.asarray([(x[part].mean(), np.median(y[part])) for part in parts if len(part)])

"""Embeddings on a grid, where dot products are exact: no sum depends on blocks, threads or the order of addition.

On multiples of 2 ** -16, products are multiples of 2 ** -32, and float64 adds up to 2 ** 20 of them without rounding.
So a shortcut decides as the plain loop does, ties and all. It moves a cosine by some 1e-5, less than float16 does.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.runs import Embeddings

STEP = 2.0**-16
MOST_ROWS = 1 << 20
"""Rows whose similarities still add up exactly."""
BLOCK = 2048
Floats = NDArray[np.float64]
Points = NDArray[np.float32] | Floats
"""Shape (n, d), length about 1, on the grid: float32 holds its points, float64 their products."""


def on_grid(embeddings: NDArray[np.floating]) -> Points:
    """Bring embeddings of shape (n, d) to length 1 and to the grid; what has no direction, or no value, becomes NaN."""
    made = np.empty(embeddings.shape, dtype=np.float32)
    for start in range(0, len(embeddings), BLOCK):
        block = embeddings[start : start + BLOCK].astype(np.float64)
        length = np.linalg.norm(block, axis=1, keepdims=True)
        length[(length == 0) | ~np.isfinite(length)] = np.nan
        made[start : start + BLOCK] = np.rint(block / length / STEP) * STEP
    return made


def points_of(embeddings: Embeddings, records: NDArray[np.int64]) -> Points:
    """Read the embeddings of some records, in their order, on the grid: 4 bytes x records x dimensions.

    Raises InputError for a record whose embedding has no direction.
    """
    made = np.empty((len(records), embeddings.shape[1]), dtype=np.float32)
    start = 0
    for some, block in embeddings.blocks(records):
        made[start : start + len(some)] = on_grid(block)
        start += len(some)
    if (lost := np.isnan(made[:, 0])).any():
        raise InputError(
            f"record {records[np.argmax(lost)]} has a score and no embedding (NaN or zeros): score the pool again"
        )
    return made


def blocks(points: Points) -> Iterator[tuple[slice, Floats]]:
    """Yield slices of points with those points in float64."""
    for start in range(0, len(points), BLOCK):
        at = slice(start, start + BLOCK)
        yield at, points[at].astype(np.float64, copy=False)


def dots(points: Points, vector: Floats) -> Floats:
    """Multiply points with a vector of shape (d,), or with several of shape (d, m); gives shape (n,) or (n, m)."""
    made = np.empty((len(points), *vector.shape[1:]))
    for at, block in blocks(points):
        made[at] = block @ vector
    return made


def total(points: Points) -> Floats:
    """Add all points up: shape (d,)."""
    return sum((block.sum(axis=0) for _, block in blocks(points)), np.zeros(points.shape[1]))

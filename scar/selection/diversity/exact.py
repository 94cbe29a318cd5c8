"""Embeddings on a grid, where dot products are exact: no sum depends on blocks, threads or the order of addition.

On multiples of 2 ** -11, products of two rows are multiples of 2 ** -22, which float32 holds exactly up to 4, and
float64 adds them up without rounding. So a shortcut decides as the plain loop does, ties and all, at the speed of
float32. The grid moves a cosine by some 2e-4: what is nearer to another than that is as good.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.runs import Embeddings

STEP = 2.0**-11
BLOCK = 2048
Floats = NDArray[np.float64]
Points = NDArray[np.float32]
"""Shape (n, d), length about 1, on the grid."""


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


def blocks(points: Points) -> Iterator[slice]:
    """Yield slices that cut points into blocks."""
    for start in range(0, len(points), BLOCK):
        yield slice(start, start + BLOCK)


def dots(points: Points, vector: Floats) -> Floats:
    """Multiply points with a vector of shape (d,) in float64: shape (n,). Exact where the vector is a sum of points."""
    made = np.empty(len(points))
    for at in blocks(points):
        made[at] = points[at].astype(np.float64) @ vector
    return made


def similarity_to(points: Points, some: Points) -> Floats:
    """Add up the similarities of each of n points to all of `some`; shape (n,)."""
    made = np.empty(len(points))
    for at in blocks(points):
        made[at] = (points[at] @ some.T).sum(axis=1, dtype=np.float64)
    return made


def total(points: Points) -> Floats:
    """Add all points up: shape (d,)."""
    made: Floats = points.sum(axis=0, dtype=np.float64)
    return made

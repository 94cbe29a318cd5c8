"""Vectors of length 1, and what is told of a vector that has no direction. Knows no engine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import RunError


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring vectors, (n, d), to length 1; one that is zero, or not finite, has no direction, and is NaN."""
    # In float64: the squares of a large number must not overflow.
    lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1, keepdims=True))
    lengths[~((lengths > 0) & np.isfinite(lengths))] = np.nan
    found: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
    return found


def finite(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell of each of n numbers, (n,), or vectors, (n, d), whether all of it is finite: (n,)."""
    found: NDArray[np.bool_] = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    return found


def shaped(vectors: NDArray[np.float32], rows: int, width: int) -> NDArray[np.float32]:
    """Give vectors as (rows, width), also where there are none. Raises RunError where the engine gave others."""
    if not rows:
        return np.zeros((0, width), dtype=np.float32)
    if vectors.shape != (rows, width):
        raise RunError(f"the engine gave embeddings of shape {vectors.shape}, not ({rows}, {width})")
    return vectors

"""Rows that are far from everything. Numpy only."""

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.grid import on_grid
from scar.selection.diversity.vectors import Rows

_SAMPLE = 1024
_SHARE = 200
"""A row needs one in so many of the sample near it."""
_BLOCK = 4096


def outliers(rows: Rows, count: int, seed: int) -> NDArray[np.bool_]:
    """Mark the `count` rows of length 1 that are farthest from a random sample of 1,024, shape (n,).

    That is by the distance to the 5th nearest of the sample (of a smaller one, to one in 200), the row itself not
    counted, so that a few copies of one odd row do not vouch for each other. The earlier row wins a tie.
    """
    found = np.zeros(len(rows), dtype=bool)
    if count == 0:
        return found
    sample = np.sort(np.random.default_rng(seed).permutation(len(rows))[:_SAMPLE])
    at = len(sample) - max(1, len(sample) // _SHARE)
    turned, nearness = np.ascontiguousarray(on_grid(rows[sample]).T), np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        likeness = on_grid(rows[start : start + _BLOCK]) @ turned
        own = np.flatnonzero((sample >= start) & (sample < start + _BLOCK))
        likeness[sample[own] - start, own] = -np.inf
        nearness[start : start + _BLOCK] = np.partition(likeness, at, axis=1)[:, at]
    found[np.argsort(nearness, kind="stable")[:count]] = True
    return found

"""Ranks of numbers and Spearman's correlation of them. Numpy only; knows no rankers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean_ranks(values: NDArray[Any]) -> Floats:
    """Rank values, shape (n,), from 1 for the lowest; ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Floats = ends - (counts - 1) / 2
    return means[inverse]


def spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Give Spearman's rank correlation, ties with their mean rank; NaN where one side is constant."""
    return float(spearman_matrix([a, b])[0, 1])


def spearman_matrix(columns: Sequence[NDArray[Any]]) -> Floats:
    """Give the rank correlation of every two columns of shape (n,); NaN where one of them is constant or empty."""
    centred = [_centred(np.asarray(column, dtype=np.float64)) for column in columns]
    out = np.full((len(columns), len(columns)), np.nan)
    for i, a in enumerate(centred):
        for j, b in enumerate(centred):
            norm = np.sqrt((a**2).sum() * (b**2).sum())
            if norm > 0:
                out[i, j] = (a * b).sum() / norm
    return out


def _centred(values: Floats) -> Floats:
    # Ranks from 1 to n: their mean is known, also of nothing.
    return mean_ranks(values) - (len(values) + 1) / 2

"""Each row to its nearest centre, and the means of what each centre got. Numpy only.

A row whose two nearest centres are nearly as near is decided in float64, and sums are taken in the order of rows: so
neither blocks nor threads change the result.
"""

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.vectors import Places, Rows, slack, squared_distances

_BLOCK = 2048
_PIECE = 1024
"""Rows that are summed in float32 before float64 takes over."""


def assign(rows: Rows, centres: Rows) -> Places:
    """Give each row the number of its nearest centre, Euclidean; the smaller number where two are as near."""
    labels = np.empty(len(rows), dtype=np.int64)
    half = ((centres.astype(np.float64) ** 2).sum(axis=1) / 2).astype(np.float32)
    turned = np.ascontiguousarray(centres.T)
    grid = np.empty((min(_BLOCK, len(rows)), len(centres)), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        likeness = np.matmul(block, turned, out=grid[: len(block)])
        likeness -= half
        labels[start : start + _BLOCK] = _settled(block, centres, likeness, _doubt(block, half))
    return labels


def _doubt(block: Rows, half: NDArray[np.float32]) -> np.float32:
    """Bound the error of a difference of two likenesses."""
    longest = float(np.sqrt(np.einsum("ij,ij->i", block, block).max()))
    reach = float(np.sqrt(2 * half.max()))
    return np.float32(2.02 * slack(block.shape[1]) * reach * max(longest, reach))


def _settled(block: Rows, centres: Rows, likeness: NDArray[np.float32], doubt: np.float32) -> Places:
    every = np.arange(len(block))
    labels = likeness.argmax(axis=1)
    best = likeness[every, labels]
    likeness[every, labels] = -np.inf
    unsure = np.flatnonzero(likeness.max(axis=1) >= best - doubt)
    if unsure.size:
        likeness[unsure, labels[unsure]] = best[unsure]
        i, j = np.nonzero(likeness[unsure] >= (best[unsure] - doubt)[:, None])
        distance = squared_distances(block[unsure[i]], centres[j])
        order = np.lexsort((j, distance, i))
        first = order[np.diff(i[order], prepend=-1) != 0]
        labels[unsure[i[first]]] = j[first]
    return np.asarray(labels, dtype=np.int64)


def means(rows: Rows, labels: Places, centres: Rows) -> Rows:
    """Give the mean of each centre's rows, in float32; a centre without rows stays where it is."""
    moved = centres.copy()
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(len(centres) + 1))
    for number in range(len(centres)):
        own = order[ends[number] : ends[number + 1]]
        if own.size:
            total = np.zeros(rows.shape[1])
            for start in range(0, len(own), _PIECE):
                total += rows[own[start : start + _PIECE]].sum(axis=0)
            moved[number] = total / len(own)
    return moved


def own_distances(rows: Rows, centres: Rows, labels: Places) -> NDArray[np.float64]:
    """Give each row's squared distance to its centre."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        piece = slice(start, start + _BLOCK)
        found[piece] = squared_distances(rows[piece], centres[labels[piece]])
    return found

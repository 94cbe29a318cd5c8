"""Give texts as sets of hashed runs of words, many texts at once. Numpy only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.mixing import Words, high
from scar.selection.duplicates.ragged import Ragged, spread
from scar.selection.duplicates.words import word_hashes

_STEP = 0xD6E8FEB86659FD93


def shingles(texts: Sequence[str], words: int) -> Ragged:
    """Give of each text the set of its runs of `words` words, 32 bits a run.

    A text of fewer words is one run, whole; a text without a word is an empty set. Two different runs of texts of 1,000
    words clash with a chance of 2 in 10,000, and then move a similarity by a thousandth.
    """
    hashes, counts = word_hashes(texts)
    hashes, counts = _filled(hashes, counts, words)
    runs = np.maximum(counts - words + 1, 0)
    starts = spread(np.cumsum(counts) - counts, runs)
    joined = np.zeros(len(starts), dtype=np.uint64)
    for place in range(words):
        joined *= np.uint64(_STEP)
        joined += hashes[starts + place]
    return _sets(high(joined), runs)


def _filled(hashes: Words, counts: NDArray[np.int64], words: int) -> tuple[Words, NDArray[np.int64]]:
    """Fill texts of fewer words up with zeros, so that they have one run; those without any stay empty."""
    sizes = np.where(counts > 0, np.maximum(counts, words), 0)
    filled = np.zeros(int(sizes.sum()), dtype=np.uint64)
    filled[spread(np.cumsum(sizes) - sizes, counts)] = hashes
    return filled, sizes


def _sets(values: NDArray[np.uint32], sizes: NDArray[np.int64]) -> Ragged:
    """Sort each text's values and drop repeats."""
    ends = np.cumsum(sizes)
    # One by one: numpy sorts many short runs 20 times as fast as one long.
    for start, end in zip((ends - sizes).tolist(), ends.tolist(), strict=True):
        values[start:end].sort()
    distinct = np.ones(len(values) + 1, dtype=bool)
    np.not_equal(values[1:], values[:-1], out=distinct[1:-1])
    distinct[(ends - sizes)] = True
    distinct = distinct[:-1]
    counts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(distinct)])
    return Ragged(values[distinct], counts[ends] - counts[ends - sizes])

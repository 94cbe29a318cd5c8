"""Records whose texts are the same. Numpy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def first_of_equals(digests: NDArray[Any], order: Numbers) -> Numbers:
    """Give to each of n things the first that is equal to it, itself where it is the first.

    `digests` has shape (n,) or (n, m); `order` numbers the n things, the one that is to be the first of its equals
    before the others.
    """
    columns = np.atleast_2d(digests.T)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    by_digest = np.lexsort((place, *columns))
    new = np.ones(len(order), dtype=bool)
    sorted_ = columns[:, by_digest]
    new[1:] = (sorted_[:, 1:] != sorted_[:, :-1]).any(axis=0)
    first = np.empty(len(order), dtype=np.int64)
    first[by_digest] = by_digest[np.flatnonzero(new)][np.cumsum(new) - 1]
    return first

"""Decide which of near sets stay. Sets are numbered best first; pairs come with the better set first.

`greedy` drops what is near a set that stays: no two that stay are near (as far as pairs were found), and each that goes
is near the one named for it. `chained` keeps one of all that hang together, though the ends of a chain differ.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Similar = Callable[[Numbers, Numbers], NDArray[np.bool_]]
STAYS = -1


@dataclass
class Resolved:
    """What becomes of each set: STAYS, or the set that takes its place; and what it took to find out."""

    taken_by: Numbers
    compared: int = 0
    """Pairs whose similarity was worked out."""
    near: int = 0
    """Pairs that were near."""


def greedy(n: int, must: int, pairs: Iterable[tuple[Numbers, Numbers]], similar: Similar) -> Resolved:
    """Keep a set unless it is near a better one that is kept; the first `must` sets stay whatever is near them.

    `pairs` come sorted by the better set, a block at a time.
    """
    found = Resolved(np.full(n, STAYS, dtype=np.int64))
    taken_by = found.taken_by
    for a, b in pairs:
        open_ = (taken_by[a] == STAYS) & (taken_by[b] == STAYS) & (b >= must)
        for better, worse in _near(a[open_], b[open_], similar, found):
            # Whatever could drop `better` came before.
            if taken_by[better] == STAYS and taken_by[worse] == STAYS:
                taken_by[worse] = better
    return found


def chained(n: int, must: int, pairs: Iterable[tuple[Numbers, Numbers]], similar: Similar) -> Resolved:
    """Keep the best set of each component of near pairs, and the first `must` sets."""
    found = Resolved(np.full(n, STAYS, dtype=np.int64))
    parent = np.arange(n, dtype=np.int64)
    for a, b in pairs:
        apart = _roots(parent, a) != _roots(parent, b)
        for better, worse in _near(a[apart], b[apart], similar, found):
            low, high = sorted((_root(parent, better), _root(parent, worse)))
            parent[high] = low
    roots = _roots(parent, np.arange(n, dtype=np.int64))
    taken = (roots != np.arange(n)) & (np.arange(n) >= must)
    found.taken_by[taken] = roots[taken]
    return found


def _near(a: Numbers, b: Numbers, similar: Similar, found: Resolved) -> list[tuple[int, int]]:
    """List the pairs that are near, each once, sorted."""
    once = np.unique(a << 32 | b)
    a, b = once >> 32, once & 0xFFFFFFFF
    near = similar(a, b)
    found.compared += len(once)
    found.near += int(near.sum())
    return list(zip(a[near].tolist(), b[near].tolist(), strict=True))


def _roots(parent: Numbers, of: Numbers) -> Numbers:
    """Give the best set of the component of each."""
    above = parent[of]
    while (above != of).any():
        of, above = above, parent[above]
    return of


def _root(parent: Numbers, number: int) -> int:
    while parent[number] != number:
        parent[number] = number = int(parent[parent[number]])
    return number

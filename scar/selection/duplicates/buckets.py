"""Pairs of sets that share a band. Numpy only.

Sets are numbered best first, so that the first of a pair is the better one. In a bucket of more than LEADERS sets
only the LEADERS best are compared with the rest: a bucket of n costs LEADERS x n, not n^2. What is near a leader goes;
where few are, the band shows no more than the wording of a template, and near copies meet in bands that show what
differs from one to the other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.ragged import spread

LEADERS = 64
_PAIRS = 1 << 17
"""Pairs that are made at once."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Buckets:
    """For each leader in each of its buckets, where the members behind it stand in `members`; the best leader first."""

    leaders: NDArray[np.int32]
    starts: Numbers
    sizes: NDArray[np.int32]
    members: NDArray[np.int32]
    crowded: int
    """Buckets of more than LEADERS sets."""

    @classmethod
    def of(cls, keys: Iterable[NDArray[np.uint32]]) -> "Buckets":
        """Find the sets of equal keys; `keys` are a band's of all sets, the best set first, band by band."""
        parts = [_band(band) for band in keys]
        offsets = np.cumsum([0, *(len(part.members) for part in parts)])
        leaders = np.concatenate([part.leaders for part in parts])
        starts = np.concatenate([part.starts + offset for part, offset in zip(parts, offsets, strict=False)])
        sizes = np.concatenate([part.sizes for part in parts])
        members = np.concatenate([part.members for part in parts])
        order = np.argsort(leaders, kind="stable")
        crowded = sum(part.crowded for part in parts)
        return cls(leaders[order], starts[order], sizes[order], members, crowded)

    def pairs(self, size: int = _PAIRS) -> Iterator[tuple[Numbers, Numbers]]:
        """Yield the pairs, about `size` at a time, the best leader's first; a pair of several bands may come again."""
        ends = np.cumsum(self.sizes, dtype=np.int64)
        for begin in range(0, int(ends[-1]) if len(ends) else 0, size):
            end = min(begin + size, int(ends[-1]))
            some = slice(int(np.searchsorted(ends, begin, side="right")), int(np.searchsorted(ends, end)) + 1)
            # The first and the last run may be cut.
            low = np.maximum(begin - (ends[some] - self.sizes[some]), 0)
            high = np.minimum(end - (ends[some] - self.sizes[some]), self.sizes[some])
            behind = self.members[spread(self.starts[some] + low, high - low)]
            yield np.repeat(self.leaders[some], high - low).astype(np.int64), behind.astype(np.int64)


def _band(keys: NDArray[np.uint32]) -> Buckets:
    """Find the buckets of one band."""
    sorted_keys = np.sort(keys.astype(np.uint64) << np.uint64(32) | np.arange(len(keys), dtype=np.uint64))
    bucket = sorted_keys >> np.uint64(32)
    same = np.zeros(len(keys) + 1, dtype=bool)
    np.equal(bucket[1:], bucket[:-1], out=same[1:-1])
    shared = same[:-1] | same[1:]
    members = (sorted_keys[shared] & np.uint64(0xFFFFFFFF)).astype(np.int32)
    first = np.flatnonzero(~same[:-1][shared])
    sizes = np.diff(np.append(first, len(members)))
    led = np.minimum(sizes - 1, LEADERS)
    places = spread(first, led)
    behind = np.repeat(first + sizes, led) - places - 1
    return Buckets(
        members[places], places + 1, behind.astype(np.int32), members, int((sizes > LEADERS).sum())
    )

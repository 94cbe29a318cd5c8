"""Find near copies among texts by MinHash-LSH, and decide which of them stay. Knows no records.

Texts are read once. A text's set of shingles goes to a temp file, 4 bytes a shingle; memory holds 4 bytes a band of
each text, and some 130 more while pairs are looked for. With 17 bands that is 200 bytes a text (measured on 500,000),
so 0.2 GB for 10^6 texts and 2 GB for 10^7; 600 where every text shares its bands with others (on 250,000).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.ahead import ahead, blocks
from scar.selection.duplicates.buckets import Buckets
from scar.selection.duplicates.curve import Bands
from scar.selection.duplicates.exact import first_of_equals
from scar.selection.duplicates.minhash import Permutations, band_keys
from scar.selection.duplicates.mixing import Words, mix
from scar.selection.duplicates.ragged import Ragged
from scar.selection.duplicates.resolve import STAYS, Resolved, chained, greedy
from scar.selection.duplicates.sets import StoredSets, set_file
from scar.selection.duplicates.shingles import shingles

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """How texts are compared."""

    threshold: float
    words: int
    bands: Bands
    seed: int = 0
    chain: bool = False


@dataclass(frozen=True)
class Near:
    """For each text: itself where it stays, else the text that takes its place; and what it took to find out."""

    kept_for: Numbers
    compared: int
    near: int
    crowded_buckets: int


@dataclass(frozen=True)
class _Block:
    sets: Ragged
    digests: Words
    keys: NDArray[np.uint32]


def find_near(
    texts: Iterable[str],
    order: Numbers,
    must: int,
    settings: Settings,
    folder: Path | None = None,
) -> Near:
    """Find which texts stay. `order` numbers all texts best first; the first `must` of them stay in any case.

    Every copy to the word is found; a near one with the probability of the curve. The temp file is made in `folder`,
    by default where the system has such files (TMPDIR).
    """
    n = len(order)
    digests, keys = np.empty(n, dtype=np.uint64), np.empty((settings.bands.bands, n), dtype=np.uint32)
    with set_file(folder) as sets:
        done = 0
        for block in ahead(_prepare(settings), blocks(texts)):
            sets.add(block.sets)
            some = slice(done, done := done + len(block.sets))
            digests[some], keys[:, some] = block.digests, block.keys
        assert done == n
        return _decide(sets.written(), digests, keys, (order, must), settings)


def _prepare(settings: Settings) -> Callable[[list[str]], _Block]:
    permutations = Permutations.drawn(settings.bands.bands * settings.bands.values, settings.seed)

    def prepare(texts: list[str]) -> _Block:
        sets = shingles(texts, settings.words)
        return _Block(sets, set_digests(sets), band_keys(permutations.least(sets), settings.bands))

    return prepare


def set_digests(sets: Ragged) -> Words:
    """Give 64 bits of a hash of each set: two of 10^7 different ones clash with a chance of 3 in 10^6."""
    sums = np.concatenate(
        [np.zeros(1, dtype=np.uint64), np.cumsum(mix(sets.values.astype(np.uint64) + np.uint64(1)))]
    )
    ends = sets.starts + sets.sizes
    return mix(sums[ends] - sums[sets.starts] + sets.sizes.astype(np.uint64))


def _decide(
    sets: StoredSets,
    digests: Words,
    keys: NDArray[np.uint32],
    ranked: tuple[Numbers, int],
    settings: Settings,
) -> Near:
    """Compare one text of each set with the others that share a band."""
    order, must = ranked
    kept_for = first_of_equals(digests, order)
    kept_for[order[:must]] = order[:must]
    first = order[kept_for[order] == order]
    buckets = Buckets.of(band[first] for band in keys)

    def similar(a: Numbers, b: Numbers) -> NDArray[np.bool_]:
        return sets.similar(first[a], first[b], settings.threshold)

    decide = chained if settings.chain else greedy
    found: Resolved = decide(len(first), must, buckets.pairs(), similar)
    takes = first.copy()
    gone = np.flatnonzero(found.taken_by != STAYS)
    takes[gone] = first[found.taken_by[gone]]
    place = np.empty(len(order), dtype=np.int64)
    place[first] = np.arange(len(first))
    return Near(takes[place[kept_for]], found.compared, found.near, buckets.crowded)

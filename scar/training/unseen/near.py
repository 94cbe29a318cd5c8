"""Find near-duplicate texts: MinHash signatures, banded, every candidate pair verified. Knows nothing of rows or folds.

Two texts are near-duplicates where the Jaccard similarity of their shingle sets is at least .7, by words or by
characters. With b bands of r values a pair of similarity s is found with probability 1 - (1 - s^r)^b (Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, 3.4): for 25 bands of 5 that is .990 at .7, .9998 at .8.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

SIMILAR = 0.7
BANDS, VALUES = 25, 5
SLACK = 0.2
"""A pair whose 125 values agree in less than SIMILAR - SLACK is not verified: five standard deviations."""
NEIGHBOURS = 100
"""Each text is compared with so many others of its bucket, so that a bucket of n texts costs n, not n^2."""
WORDS, CHARACTERS = 3, 5
PART = 4096
"""Shingles hashed at once: a text of 10 MB must not need gigabytes."""

# A script written without spaces (Han, kana, Thai, Lao, Burmese, Khmer): each of its characters counts as a word.
_WORD = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f]|[^\\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003134f]+"
)

Hashes = NDArray[np.uint32]
Shingler = Callable[[str], Hashes]


class Components:
    """Rows that belong together, directly or through others (union-find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, row: int) -> int:
        """Give the row that stands for the component of a row."""
        while self._parent[row] != row:
            self._parent[row] = row = self._parent[self._parent[row]]
        return row

    def join(self, a: int, b: int) -> None:
        """Put two rows, and all that belongs to them, together."""
        a, b = self.find(a), self.find(b)
        self._parent[max(a, b)] = min(a, b)


def word_shingles(text: str) -> Hashes:
    """Give the set of hashed runs of 3 words, sorted; of all the words where there are fewer."""
    words = _WORD.findall(text) or [text]
    codes = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    return _runs(np.asarray(codes, dtype=np.uint64), WORDS)


def character_shingles(text: str) -> Hashes:
    """Give the set of hashed runs of 5 characters, sorted; of all the characters where there are fewer."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return _runs(codes.astype(np.uint64), CHARACTERS)


SHINGLERS: tuple[Shingler, ...] = (word_shingles, character_shingles)


def _runs(codes: NDArray[np.uint64], length: int) -> Hashes:
    """Hash every run of codes, a polynomial modulo 2^64 folded to 32 bits."""
    length = min(length, len(codes))
    runs = np.zeros(len(codes) - length + 1, dtype=np.uint64)
    for place in range(length):
        runs = (runs + codes[place : place + len(runs)] + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return np.unique((runs >> np.uint64(32)).astype(np.uint32))


def join_near(texts: Sequence[str], together: Components, seed: int) -> None:
    """Join the near-duplicates among distinct texts; `together` has one place a text."""
    for shingler in SHINGLERS:
        signatures = _signatures(texts, shingler, seed)
        sets: dict[int, Hashes] = {}
        for a, b in _candidates(signatures):
            if together.find(a) == together.find(b):
                continue
            for text in (a, b):
                if text not in sets:
                    sets[text] = shingler(texts[text])
            if jaccard(sets[a], sets[b]) >= SIMILAR:
                together.join(a, b)


def jaccard(a: Hashes, b: Hashes) -> float:
    """Give the Jaccard similarity of two sets of hashes; two empty sets are the same."""
    if not len(a) or not len(b):
        return float(len(a) == len(b))
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def _signatures(texts: Sequence[str], shingler: Shingler, seed: int) -> NDArray[np.uint64]:
    """Give the MinHash signatures, (texts, BANDS * VALUES)."""
    blank = MinHash(num_perm=BANDS * VALUES, seed=seed, hashfunc=lambda hashed: hashed)
    found = np.empty((len(texts), BANDS * VALUES), dtype=np.uint64)
    for number, text in enumerate(texts):
        sketch, hashes = blank.copy(), shingler(text).tolist()
        for first in range(0, len(hashes), PART):
            sketch.update_batch(hashes[first : first + PART])
        found[number] = sketch.hashvalues
    return found


def _candidates(signatures: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Yield the pairs that share a band and whose signatures are alike.

    Own banding, not datasketch's index: an index answers a bucket of n texts n times with n names.
    """
    for band in range(BANDS):
        _, bucket = np.unique(signatures[:, band * VALUES : (band + 1) * VALUES], axis=0, return_inverse=True)
        order = np.argsort(bucket.ravel(), kind="stable")
        for distance in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            a, b = order[:-distance], order[distance:]
            same = bucket.ravel()[a] == bucket.ravel()[b]
            if not same.any():
                break
            a, b = a[same], b[same]
            alike = (signatures[a] == signatures[b]).mean(axis=1) >= SIMILAR - SLACK
            yield from zip(a[alike].tolist(), b[alike].tolist(), strict=True)

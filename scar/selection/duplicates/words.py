"""Cut texts into words and hash them, many texts at once. Numpy only.

A word is a run between white space. Of a script that is written without spaces (Han, kana, Thai, Lao, Khmer, Burmese,
Tibetan, and the punctuation of Chinese and Japanese) every character is a word. So no text is of one kind or another:
a Chinese text that quotes English is compared as both, and two texts of any scripts are compared in the same way.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.mixing import Words, mix

_UNSPACED = (
    *((0x0E00, 0x109F), (0x1780, 0x17FF), (0x19E0, 0x19FF)),  # Thai, Lao, Tibetan, Burmese; Khmer
    *((0x2E80, 0x312F), (0x3190, 0x9FFF), (0xF900, 0xFAFF)),  # radicals, punctuation, kana, bopomofo; Han
    *((0xFE30, 0xFE4F), (0xFF61, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFF)),
)
_SPACE, _WORD, _CHARACTER = 0, 1, 2
_BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2^64."""
_USUAL = 1 << 19
"""Characters of texts that are hashed at once, but for a huge one: the powers for so many are held."""


def folded(text: str) -> str:
    """Give a text as its words are compared: no case, and full-width, half-width and composed forms as one (NFKC)."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def word_hashes(texts: Sequence[str]) -> tuple[Words, NDArray[np.int64]]:
    """Hash the words of texts: all hashes in order, and how many are each text's, shape (texts,)."""
    plain = [folded(text) for text in texts]
    codes = np.frombuffer("\n".join([*plain, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    first, last = _cut(_kinds()[codes])
    ends = np.cumsum([len(text) + 1 for text in plain])
    return _hashes(codes, first, last), np.diff(np.searchsorted(first, ends), prepend=0)


def _cut(kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the first and the last character of each word."""
    inside, alone = kinds == _WORD, kinds == _CHARACTER
    first, last = inside.copy(), inside.copy()
    first[1:] &= ~inside[:-1]
    last[:-1] &= ~inside[1:]
    return np.flatnonzero(first | alone), np.flatnonzero(last | alone)


def _hashes(codes: NDArray[np.uint32], first: NDArray[np.int64], last: NDArray[np.int64]) -> Words:
    """Hash runs of codes: each as a polynomial in _BASE modulo 2^64, the difference of two sums over all before it."""
    powers, inverse = _powers(max(_USUAL, 1 << int(len(codes)).bit_length()))
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum((codes + np.uint64(1)) * powers[: len(codes)], out=sums[1:])
    return mix((sums[last + 1] - sums[first]) * inverse[first])


@lru_cache(maxsize=1)
def _powers(n: int) -> tuple[Words, Words]:
    """Give the powers 0 to n - 1 of _BASE, and of its inverse."""
    return tuple(  # type: ignore[return-value]
        np.cumprod(np.r_[np.uint64(1), np.full(n - 1, base, dtype=np.uint64)], dtype=np.uint64)
        for base in (_BASE, pow(_BASE, -1, 2**64))
    )


@lru_cache(maxsize=1)
def _kinds() -> NDArray[np.uint8]:
    """Say of every code point what it is."""
    kinds = np.full(0x110000, _WORD, dtype=np.uint8)
    for low, high in _UNSPACED:
        kinds[low : high + 1] = _CHARACTER
    # The highest white space of Unicode is U+3000.
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = _SPACE
    return kinds

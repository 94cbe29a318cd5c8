"""How texts are written, in a few numbers each, and how much those vary: what a style ranker should make vary less.

Pure functions of a text; nothing is cut. A number that a text has no ground for, as an empty one's sentences, is NaN.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+(?:['\u2019](?:(?![{_UNSPACED}])[^\W_])+)*")
_END = re.compile(r"[.!?\u2026]+(?=\s|$)|[\u3002\uff01\uff1f]+|\n+")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_MARKUP = re.compile(r"\s*(?:#{1,6}\s|[-*+\u2022]\s|\d{1,3}[.)]\s|>|\||</?[a-zA-Z][^>]*>|\$\$)")


def words(text: str) -> list[str]:
    """Split a text into words without case; a Chinese or Japanese character is a word of its own."""
    return [match.group().casefold() for match in _WORD.finditer(text)]


def type_token_ratio(text: str) -> float:
    """Give the share of different words among all words; a longer text has a lower one."""
    found = words(text)
    return len(set(found)) / len(found) if found else float("nan")


def sentence_length(text: str) -> float:
    """Give the mean number of words in a sentence; a line's end ends one too."""
    lengths = [count for part in _END.split(text) if (count := len(words(part)))]
    return sum(lengths) / len(lengths) if lengths else float("nan")


def punctuation_share(text: str) -> float:
    """Give the share of punctuation among the characters that are not white space."""
    counts = {character: n for character, n in Counter(text).items() if not character.isspace()}
    marks = sum(n for character, n in counts.items() if unicodedata.category(character)[0] == "P")
    return marks / sum(counts.values()) if counts else float("nan")


def markup_share(text: str) -> float:
    """Give the share of lines that are markup: headings, list items, quotes, tables, tags, and fenced code."""
    fenced, marked, lines = False, 0, 0
    for line in filter(str.strip, text.splitlines()):
        fence = _FENCE.match(line) is not None
        marked += fenced or fence or _MARKUP.match(line) is not None
        fenced ^= fence
        lines += 1
    return marked / lines if lines else float("nan")


FEATURES = {
    "type-token ratio": type_token_ratio,
    "words a sentence": sentence_length,
    "punctuation share": punctuation_share,
    "markup share": markup_share,
}
"""Each number by its name."""


def style(text: str) -> tuple[float, ...]:
    """Give all numbers of a text, in the order of FEATURES."""
    return tuple(measure(text) for measure in FEATURES.values())


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a number over texts; NaN where no text has it."""

    mean: float
    deviation: float
    texts: int
    """Those that have the number."""

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Spread":
        """Take the values of shape (n,), those that are NaN left out; the deviation is that of the values, over n."""
        there = values[~np.isnan(values)]
        if not len(there):
            return cls(float("nan"), float("nan"), 0)
        return cls(float(there.mean()), float(there.std()), len(there))


def spread(styles: Iterable[tuple[float, ...]]) -> Mapping[str, Spread]:
    """Give the spread of every number over the styles of some texts."""
    table = np.asarray(list(styles), dtype=np.float64).reshape(-1, len(FEATURES))
    return {name: Spread.of(column) for name, column in zip(FEATURES, table.T, strict=True)}

"""Distinct texts on their way to ids: tokenised a window at a time, once for all rankers that share a tokenizer."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.encoding.text import CHARACTERS_A_TOKEN, Cut, Ids, TextEncoder, clip, clip_ids

WINDOW_CHARACTERS = 16 << 20
"""Texts are tokenised together up to this many characters, and forgotten then."""


@dataclass(frozen=True)
class Bare:
    """Ids of distinct texts without special tokens, in the order in which the texts were met."""

    ids: list[Ids]
    """Cut to the longest that any ranker keeps."""
    whole: NDArray[np.int64]
    """Tokens of each text before that cut."""
    clipped: NDArray[np.bool_]
    """Whether characters were cut off before the text was tokenised."""


class Texts:
    """Distinct texts, each with the place where it gives way.

    Each answer of a long dialogue has all that was said before it as its instruction: together that is many times
    the dialogue, and must not be in memory at once.
    """

    def __init__(self, encoder: TextEncoder, keep: int) -> None:
        """Keep at most `keep` ids of each text."""
        self._encoder, self._keep = encoder, keep
        self._numbers: dict[bytes, int] = {}
        self._waiting: list[tuple[str, Cut]] = []
        self._characters = 0
        self._ids: list[Ids] = []
        self._whole: list[int] = []
        self._clipped: list[bool] = []

    def number(self, text: str, limit: int, cut: Cut) -> int:
        """Give the number of a text that is cut to `limit` tokens; a text met before has one already.

        It is clipped by the ranker's own limit: what a ranker sees must not depend on which others score beside it.
        """
        short = clip(text, CHARACTERS_A_TOKEN * limit, cut)
        clipped = len(short) < len(text)
        key = _digest(short) + cut.encode() + (b"!" if clipped else b"")
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._waiting.append((short, cut))
            self._clipped.append(clipped)
            self._characters += len(short)
            if self._characters >= WINDOW_CHARACTERS:
                self._tokenise()
        return number

    def _tokenise(self) -> None:
        for ids, (_, cut) in zip(
            self._encoder.bare([text for text, _ in self._waiting]), self._waiting, strict=True
        ):
            self._whole.append(len(ids))
            # A copy: a view would keep the whole text's ids.
            self._ids.append(clip_ids(ids, self._keep, cut).copy() if len(ids) > self._keep else ids)
        self._waiting, self._characters = [], 0

    def bare(self) -> Bare:
        """Tokenise what is left, and give the ids of all texts by number."""
        self._tokenise()
        return Bare(self._ids, np.asarray(self._whole, dtype=np.int64), np.asarray(self._clipped, dtype=bool))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

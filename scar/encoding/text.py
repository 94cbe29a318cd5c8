"""A tokenizer as a ranker uses it: the ids of a text, and the special tokens around one text or two."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from scar.encoding.tokenizer_file import no_panic, open_tokenizer
from scar.errors import InputError
from scar.tokens import TokenLists

Cut = Literal["head", "tail", "middle"]
Ids = NDArray[np.int32]
CHARACTERS_A_TOKEN = 250
"""Texts are cut to this many characters a token before they are tokenised: a 10 MB word must cost nothing."""


@dataclass(frozen=True)
class Marks:
    """The special tokens of a pair: before the first text, between the two, after the second."""

    before: Ids
    between: Ids
    after: Ids
    second: int
    """How many tokens of `between` have the first text's type; those after them have the second's."""

    def __len__(self) -> int:
        """Count the special tokens."""
        return len(self.before) + len(self.between) + len(self.after)


class TextEncoder:
    """A tokenizer as a ranker uses it: special tokens around a text or a pair, cut to a length."""

    def __init__(self, tokenizer: Tokenizer, pad_id: int) -> None:
        # A tokenizer.json may carry its own cut and padding (MiniLM's pads to 128): ours alone holds.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.pad_id = pad_id
        self.prefix, self.suffix = _special_tokens(tokenizer)

    @classmethod
    def from_file(cls, path: Path, pad_id: int) -> "TextEncoder":
        """Read a `tokenizer.json`."""
        return cls(open_tokenizer(path), pad_id)

    @cached_property
    def identity(self) -> str:
        """A hash of all that decides the ids: equal for rankers whose texts can be tokenised together."""
        return hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    @cached_property
    def marks(self) -> Marks:
        """The special tokens of a pair of texts."""
        return _pair_marks(self._tokenizer)

    def decode(self, tokens: TokenLists, text: int) -> str:
        """Give a text as the tokens spell it, special ones too: what a model sees."""
        ids = tokens.ids[tokens.offsets[text] : tokens.offsets[text + 1]]
        return str(self._tokenizer.decode(ids.tolist(), skip_special_tokens=False))

    def bare(self, texts: Sequence[str]) -> list[Ids]:
        """Tokenise texts without special tokens."""
        with no_panic("a text cannot be read"):
            encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray(encoding.ids, dtype=np.int32) for encoding in encodings]

    def encode(self, texts: Sequence[str], limit: int, cuts: Sequence[Cut] = ()) -> TokenLists:
        """Tokenise texts, each to at most `limit` tokens, special tokens counted.

        `cuts` says for each text where it gives way; by default at its tail.
        """
        cuts = cuts or ["tail"] * len(texts)
        room = self.room(limit)
        short = [clip(text, CHARACTERS_A_TOKEN * limit, cut) for text, cut in zip(texts, cuts, strict=True)]
        lists, truncated = [], []
        for text, whole, cut, ids in zip(short, texts, cuts, self.bare(short), strict=True):
            truncated.append(len(ids) > room or len(text) < len(whole))
            lists.append(self.alone(clip_ids(ids, room, cut)))
        return TokenLists.of(lists, truncated)

    def room(self, limit: int) -> int:
        """Give how many of `limit` tokens a single text has for itself."""
        room = limit - len(self.prefix) - len(self.suffix)
        if room < 1:
            raise InputError(f"{limit} tokens leave no room for text")
        return room

    def alone(self, ids: Ids) -> Ids:
        """Put the special tokens of a single text around its ids."""
        whole: Ids = np.concatenate([self.prefix, ids, self.suffix])
        # A tokenizer without special tokens has nothing for an empty text; an all-masked row would be NaN.
        return whole if len(whole) else np.asarray([self.pad_id], dtype=np.int32)

    def joined(self, first: Ids, second: Ids) -> tuple[Ids, int]:
        """Put two texts into one sequence; also give the place of its first token of the second type."""
        marks = self.marks
        whole: Ids = np.concatenate([marks.before, first, marks.between, second, marks.after])
        start = len(marks.before) + len(first) + marks.second
        return (whole, start) if len(whole) else (np.asarray([self.pad_id], dtype=np.int32), 0)


def _special_tokens(tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    """Give the ids that the tokenizer puts before and after a single text."""
    with no_panic("a text cannot be read"):
        bare = tokenizer.encode("a", add_special_tokens=False).ids
        whole = tokenizer.encode("a", add_special_tokens=True).ids
    starts = [n for n in range(len(whole) - len(bare) + 1) if whole[n : n + len(bare)] == bare]
    if not starts:
        raise InputError("the tokenizer changes a text when it adds special tokens: not supported")
    start = starts[0]
    return np.asarray(whole[:start], dtype=np.int32), np.asarray(whole[start + len(bare) :], dtype=np.int32)


def _pair_marks(tokenizer: Tokenizer) -> Marks:
    """Give the ids that the tokenizer puts around and between two texts."""
    with no_panic("a pair of texts cannot be read"):
        encoding = tokenizer.encode("a", "a", add_special_tokens=True)
    texts, ids = encoding.sequence_ids, np.asarray(encoding.ids, dtype=np.int32)
    first, second = ([n for n, text in enumerate(texts) if text == number] for number in (0, 1))
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    if [ids[n] for n in first] != bare or [ids[n] for n in second] != bare or max(first) > min(second):
        raise InputError("the tokenizer changes the texts of a pair, or their order: not supported")
    between = slice(max(first) + 1, min(second))
    types = encoding.type_ids[between]
    return Marks(ids[: min(first)], ids[between], ids[max(second) + 1 :], sum(kind == 0 for kind in types))


def clip(text: str, most: int, cut: Cut) -> str:
    """Cut a text to `most` characters where it gives way."""
    if len(text) <= most:
        return text
    front = {"tail": most, "head": 0, "middle": most // 2}[cut]
    return text[:front] + text[len(text) - (most - front) :]


def clip_ids(ids: Ids, most: int, cut: Cut) -> Ids:
    """Cut ids to `most` where their text gives way. A cut of a cut is the cut: to 8 by way of 20 is to 8."""
    if len(ids) <= most:
        return ids
    front = {"tail": most, "head": 0, "middle": most - most // 2}[cut]
    return np.concatenate([ids[:front], ids[len(ids) - (most - front) :]])

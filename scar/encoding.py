"""Text -> token ids: one path for training and serving. Needs only numpy and tokenizers."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from scar.bundle import TOKENIZER, Bundle
from scar.errors import InputError
from scar.records import Turn
from scar.tokens import TokenLists

Cut = Literal["head", "tail", "middle"]
WINDOW_CHARACTERS = 16 << 20
"""Texts are tokenised together up to this many characters, and forgotten then."""
CHARACTERS_A_TOKEN = 250
"""Texts are cut to this many characters a token before they are tokenised: a 10 MB word must cost nothing."""


@dataclass(frozen=True)
class Template:
    """How the turns before a response become one text. A single user turn stands bare, as SCAR has it."""

    user: str = "User: "
    assistant: str = "Assistant: "
    system: str = "System: "
    separator: str = "\n\n"

    def render(self, turns: Sequence[Turn]) -> str:
        """Give the text of the turns."""
        if len(turns) == 1 and turns[0].role != "system":
            return turns[0].text
        marks = {"user": self.user, "assistant": self.assistant, "system": self.system}
        # The system turn comes first, wherever the row has it.
        ordered = sorted(turns, key=lambda turn: turn.role != "system")
        return self.separator.join(marks.get(turn.role, f"{turn.role}: ") + turn.text for turn in ordered)


class TextEncoder:
    """A tokenizer as a ranker uses it: single texts, special tokens around them, cut to a length."""

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
        return cls(Tokenizer.from_file(str(path)), pad_id)

    def decode(self, tokens: TokenLists, text: int) -> str:
        """Give a text as the tokens spell it, special ones too: what a model sees."""
        ids = tokens.ids[tokens.offsets[text] : tokens.offsets[text + 1]]
        return str(self._tokenizer.decode(ids.tolist(), skip_special_tokens=False))

    def encode(self, texts: Sequence[str], limit: int, cuts: Sequence[Cut] = ()) -> TokenLists:
        """Tokenise texts, each to at most `limit` tokens, special tokens counted.

        `cuts` says for each text where it gives way; by default at its tail.
        """
        cuts = cuts or ["tail"] * len(texts)
        room = limit - len(self.prefix) - len(self.suffix)
        if room < 1:
            raise InputError(f"{limit} tokens leave no room for text")
        short = [_clip(text, CHARACTERS_A_TOKEN * limit, cut) for text, cut in zip(texts, cuts, strict=True)]
        encodings = self._tokenizer.encode_batch_fast(short, add_special_tokens=False)
        lists, truncated = [], []
        for text, whole, cut, encoding in zip(short, texts, cuts, encodings, strict=True):
            ids = np.asarray(encoding.ids, dtype=np.int32)
            truncated.append(len(ids) > room or len(text) < len(whole))
            lists.append(np.concatenate([self.prefix, _clip_ids(ids, room, cut), self.suffix]))
        # A tokenizer without special tokens has nothing for an empty text; an all-masked row would be NaN.
        lists = [ids if len(ids) else np.asarray([self.pad_id], dtype=np.int32) for ids in lists]
        return TokenLists.of(lists, truncated)


def _special_tokens(tokenizer: Tokenizer) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give the ids that the tokenizer puts before and after a single text."""
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a", add_special_tokens=True).ids
    starts = [n for n in range(len(whole) - len(bare) + 1) if whole[n : n + len(bare)] == bare]
    if not starts:
        raise InputError("the tokenizer changes a text when it adds special tokens: not supported")
    start = starts[0]
    return np.asarray(whole[:start], dtype=np.int32), np.asarray(whole[start + len(bare) :], dtype=np.int32)


def _clip(text: str, most: int, cut: Cut) -> str:
    if len(text) <= most:
        return text
    front = {"tail": most, "head": 0, "middle": most // 2}[cut]
    return text[:front] + text[len(text) - (most - front) :]


def _clip_ids(ids: NDArray[np.int32], most: int, cut: Cut) -> NDArray[np.int32]:
    if len(ids) <= most:
        return ids
    front = {"tail": most, "head": 0, "middle": most - most // 2}[cut]
    return np.concatenate([ids[:front], ids[len(ids) - (most - front) :]])


@dataclass(frozen=True)
class TextSettings:
    """What ranker.json says of text: the template, the lengths, and where over-long texts are cut."""

    pad_id: int
    max_tokens: int = 512
    template: Template = field(default_factory=Template)
    instruction: Cut = "tail"
    dialogue: Cut = "head"
    """Cut of an instruction of several turns: its last turns matter most."""
    response: Cut = "tail"

    @classmethod
    def of(cls, ranker: Mapping[str, Any]) -> "TextSettings":
        """Read the `text` part of ranker.json."""
        values = dict(ranker["text"])
        return cls(template=Template(**values.pop("template")), **values)


@dataclass(frozen=True)
class Pairs:
    """Distinct texts as token ids, and for each of n pairs which text is its instruction and its response."""

    tokens: TokenLists
    x: NDArray[np.int64]
    y: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each pair, as the model sees them."""
        return self.tokens.lengths[self.x] + self.tokens.lengths[self.y]

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Whether either text of a pair was cut."""
        return self.tokens.truncated[self.x] | self.tokens.truncated[self.y]


class PairEncoder:
    """Turns (turns, response) pairs into token ids, each distinct text once."""

    def __init__(self, text: TextEncoder, settings: TextSettings) -> None:
        self.text = text
        self.settings = settings

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "PairEncoder":
        """Load the tokenizer and the text settings of a bundle."""
        settings = TextSettings.of(bundle.ranker)
        return cls(TextEncoder.from_file(bundle.path / TOKENIZER, settings.pad_id), settings)

    def encode(self, pairs: Iterable[tuple[Sequence[Turn], str]]) -> Pairs:
        """Tokenise pairs of (turns before the response, response)."""
        texts = _Distinct(self.text, self.settings.max_tokens)
        x: list[int] = []
        y: list[int] = []
        for turns, response in pairs:
            cut = self.settings.instruction if len(turns) == 1 else self.settings.dialogue
            x.append(texts.number(self.settings.template.render(turns), cut))
            y.append(texts.number(response, self.settings.response))
        return Pairs(texts.tokens(), np.asarray(x, dtype=np.int64), np.asarray(y, dtype=np.int64))


class _Distinct:
    """Distinct texts on their way to token ids, tokenised a window at a time.

    Each answer of a long dialogue has all that was said before it as its instruction: together that is many times
    the dialogue, and must not be in memory at once.
    """

    def __init__(self, encoder: TextEncoder, limit: int) -> None:
        self._encoder = encoder
        self._limit = limit
        self._numbers: dict[bytes, int] = {}
        self._waiting: list[tuple[str, Cut]] = []
        self._characters = 0
        self._done: list[TokenLists] = []

    def number(self, text: str, cut: Cut) -> int:
        """Give the number of a text that gives way at a place; a text seen before has one already."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() + cut.encode()
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._waiting.append((text, cut))
            self._characters += len(text)
            if self._characters >= WINDOW_CHARACTERS:
                self._tokenise()
        return number

    def _tokenise(self) -> None:
        texts, cuts = [text for text, _ in self._waiting], [cut for _, cut in self._waiting]
        self._done.append(self._encoder.encode(texts, self._limit, cuts))
        self._waiting, self._characters = [], 0

    def tokens(self) -> TokenLists:
        """Give the ids of all texts, by number."""
        self._tokenise()
        return TokenLists.joined(self._done)

"""Pairs of instruction and response -> what an encoder sees: ONE path for training and serving."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.bundle import RANKER, TOKENIZER, Bundle
from scar.encoding.settings import TextSettings
from scar.encoding.text import Cut, Ids, TextEncoder, clip_ids
from scar.encoding.texts import Bare, Texts
from scar.errors import InputError
from scar.records import Turn
from scar.tokens import TokenLists

Pair = tuple[Sequence[Turn], str]
"""The turns before a response, and the response."""


@dataclass(frozen=True)
class Pairs:
    """Distinct sequences as token ids, and for each of n pairs which of them an encoder sees."""

    tokens: TokenLists
    texts: NDArray[np.int64]
    """(n, k) numbers of sequences: instruction and response where each is encoded alone (k = 2), else one (k = 1)."""
    response_tokens: NDArray[np.int64]
    """(n,) tokens of each response before any cut: what a score's trend with length is counted by. Of both as one text,
    which has no score, those of the text."""

    def __len__(self) -> int:
        """Give the number of pairs."""
        return len(self.texts)

    @property
    def x(self) -> NDArray[np.int64]:
        """The first sequence of each pair."""
        return self.texts[:, 0]

    @property
    def y(self) -> NDArray[np.int64]:
        """The last sequence of each pair."""
        return self.texts[:, -1]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each pair, as the model sees them."""
        lengths: NDArray[np.int64] = self.tokens.lengths[self.texts].sum(axis=1)
        return lengths

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Whether anything of a pair was cut."""
        return np.asarray(self.tokens.truncated[self.texts].any(axis=1), dtype=bool)

    def take(self, pairs: NDArray[np.int64]) -> "Pairs":
        """Give some of the pairs, with the sequences that they use."""
        used, places = np.unique(self.texts[pairs], return_inverse=True)
        texts = places.reshape(len(pairs), self.texts.shape[1]).astype(np.int64)
        return Pairs(self.tokens.take(used), texts, self.response_tokens[pairs])


class PairEncoder:
    """Turns (turns, response) pairs into token ids, each distinct text tokenised once."""

    def __init__(self, text: TextEncoder, settings: TextSettings) -> None:
        self.text = text
        self.settings = settings
        if settings.inputs == "pair" and settings.max_tokens - len(text.marks) < 2:
            raise InputError(f"{settings.max_tokens} tokens leave no room for two texts")

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "PairEncoder":
        """Load the tokenizer and the text settings of a bundle."""
        try:
            settings = TextSettings.of(bundle.ranker)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{bundle.path / RANKER}: text cannot be read ({error}); train the ranker again"
            ) from None
        return cls(TextEncoder.from_file(bundle.path / TOKENIZER, settings.pad_id), settings)

    def encode(self, pairs: Iterable[Pair]) -> Pairs:
        """Tokenise pairs of (turns before the response, response)."""
        return encode_for([self], pairs)[0]

    def note(self, pair: Pair, texts: Texts) -> tuple[int, int]:
        """Give the numbers that the two texts of a pair have among the distinct ones."""
        (turns, response), settings = pair, self.settings
        if settings.inputs == "text":
            whole = settings.template.whole(turns, response)
            return (texts.number(whole, settings.max_tokens, self._cut(turns)),) * 2
        numbers = [-1, -1]
        if settings.inputs != "response":
            rendered, cut = settings.template.render(turns), self._cut(turns)
            numbers[0] = texts.number(rendered, settings.max_tokens, cut)
        # Its length is wanted even where the encoder does not see it.
        numbers[1] = texts.number(response, settings.max_tokens, settings.response)
        return numbers[0], numbers[1]

    def _cut(self, turns: Sequence[Turn]) -> Cut:
        return self.settings.instruction if len(turns) == 1 else self.settings.dialogue

    def assemble(self, noted: NDArray[np.int64], dialogue: NDArray[np.bool_], bare: Bare) -> Pairs:
        """Make the sequences of noted pairs, (n, 2), out of the ids of their texts."""
        whole = bare.whole[noted[:, 1]] if len(noted) else np.zeros(0, dtype=np.int64)
        if self.settings.inputs == "pair":
            return self._joined(noted, dialogue, bare, whole)
        first = noted[:, :1]
        seen = {"each": noted, "instruction": first, "response": noted[:, 1:], "text": first}[
            self.settings.inputs
        ]
        cuts: dict[int, Cut] = dict.fromkeys(noted[:, 1].tolist(), self.settings.response)
        cuts |= {
            int(number): self.settings.dialogue if several else self.settings.instruction
            for number, several in zip(noted[:, 0], dialogue, strict=True)
        }
        return self._alone(seen, cuts, bare, whole)

    def _alone(
        self, seen: NDArray[np.int64], cuts: dict[int, Cut], bare: Bare, whole: NDArray[np.int64]
    ) -> Pairs:
        used, places = _in_order(seen.reshape(-1))
        room = self.text.room(self.settings.max_tokens)
        lists = [self.text.alone(clip_ids(bare.ids[n], room, cuts[int(n)])) for n in used]
        tokens = TokenLists.of(lists, bare.clipped[used] | (bare.whole[used] > room))
        return Pairs(tokens, places.reshape(seen.shape), whole)

    def _joined(
        self, noted: NDArray[np.int64], dialogue: NDArray[np.bool_], bare: Bare, whole: NDArray[np.int64]
    ) -> Pairs:
        """Put both texts of each distinct pair into one sequence, the longer one cut first."""
        room = self.settings.max_tokens - len(self.text.marks)
        keys = noted[:, 0] * (len(bare.ids) + 1) + noted[:, 1]
        used, places = _in_order(keys)
        first = np.zeros(len(used), dtype=np.int64)
        first[places[::-1]] = np.arange(len(keys))[::-1]  # the first pair of each kind
        lists: list[Ids] = []
        starts: list[int] = []
        truncated: list[bool] = []
        for number in first:
            x, y = noted[number]
            most = longest_first(int(bare.whole[x]), int(bare.whole[y]), room)
            cut: Cut = self.settings.dialogue if dialogue[number] else self.settings.instruction
            ids, start = self.text.joined(
                clip_ids(bare.ids[x], most[0], cut), clip_ids(bare.ids[y], most[1], self.settings.response)
            )
            lists.append(ids)
            starts.append(start)
            cut_off = bare.whole[x] > most[0] or bare.whole[y] > most[1]
            truncated.append(bool(cut_off or bare.clipped[x] or bare.clipped[y]))
        second = np.asarray(starts, dtype=np.int64) if self.settings.token_types else None
        return Pairs(TokenLists.of(lists, truncated, second), places.reshape(-1, 1), whole)


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Give how many tokens two texts keep of `room`: the longer one gives way, until both are equal.

    As the `tokenizers` library has it: of an odd room, the longer text gets the token that is left.
    """
    if first + second <= room:
        return first, second
    short = min(first, second)
    short, long = (short, room - short) if short <= room // 2 else (room // 2, room - room // 2)
    return (short, long) if first <= second else (long, short)


def encode_for(encoders: Sequence[PairEncoder], pairs: Iterable[Pair]) -> list[Pairs]:
    """Tokenise pairs for several rankers: read once, and tokenised once for each distinct tokenizer.

    Each ranker sees what it would see alone.
    """
    keep: dict[str, int] = {}
    for encoder in encoders:
        who = encoder.text.identity
        keep[who] = max(keep.get(who, 0), encoder.settings.max_tokens)
    firsts = {encoder.text.identity: encoder.text for encoder in reversed(encoders)}
    texts = {who: Texts(firsts[who], most) for who, most in keep.items()}
    noted: list[list[tuple[int, int]]] = [[] for _ in encoders]
    several: list[bool] = []
    for pair in pairs:
        several.append(len(pair[0]) != 1)
        for encoder, mine in zip(encoders, noted, strict=True):
            mine.append(encoder.note(pair, texts[encoder.text.identity]))
    bare = {who: some.bare() for who, some in texts.items()}
    dialogue = np.asarray(several, dtype=bool)
    return [
        encoder.assemble(
            np.asarray(mine, dtype=np.int64).reshape(-1, 2), dialogue, bare[encoder.text.identity]
        )
        for encoder, mine in zip(encoders, noted, strict=True)
    ]


def _in_order(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the distinct numbers in the order in which they come, and the place of each number among them."""
    used, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(first)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return used[order], back[inverse]

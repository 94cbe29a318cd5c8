"""The subset that compresses worst, as ZIP builds it (arXiv 2407.06645), without the mistakes of its code.

DEFLATE looks back over 32 KiB: what was chosen longer ago no longer counts, neither there nor here.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def ratio(text: bytes, level: int = 9) -> float:
    """Divide the length of a text by that of its compressed form: the lower, the less it repeats."""
    return len(text) / len(zlib.compress(text, level))


class Compressed:
    """Texts one after the other, compressed once: what more of them would give is told without doing it all again."""

    def __init__(self, level: int = 9) -> None:
        """`level` is zlib's, 1 to 9."""
        self._state, self._raw, self._packed = zlib.compressobj(level), 0, 0

    def add(self, text: bytes) -> None:
        """Append a text."""
        self._raw += len(text)
        self._packed += len(self._state.compress(text))

    def ratio(self, text: bytes = b"") -> float:
        """Give the ratio of all texts with one more, exactly as compressing them in one go gives it."""
        state = self._state.copy()
        return (self._raw + len(text)) / (self._packed + len(state.compress(text)) + len(state.flush()))


@dataclass(frozen=True)
class Widths:
    """How many candidates are looked at: `first` in the light of all that was chosen, `second` among themselves."""

    first: int = 10_000
    second: int = 200
    third: int = 100
    """How many of the second are taken before looking again."""


class ByNumber(Protocol):
    """Texts by their numbers, in memory or on a disk."""

    def __getitem__(self, number: int, /) -> bytes:
        """Give a text."""
        ...


class Zip:
    """Chooses texts so that the whole compresses badly. `own` is the ratio of each text alone, shape (n,)."""

    def __init__(
        self, texts: ByNumber, own: NDArray[np.float64], level: int = 9, widths: Widths | None = None
    ) -> None:
        """Begin with nothing chosen."""
        self._texts, self._level, self._widths = texts, level, widths or Widths()
        self._state = own.copy()
        self.chosen = Compressed(level)

    def add(self, number: int) -> None:
        """Choose a text."""
        self.chosen.add(self._texts[number])

    def choose(self, numbers: NDArray[np.int64], fits: Callable[[int], bool]) -> Iterator[int]:
        """Choose texts among some, and yield each when it is chosen; the smaller number wins a tie.

        Again and again: (1) of those that are left, the `first` of lowest state, whose state becomes the ratio of what
        is chosen with them; (2) of these the `second` lowest; (3) of these, `third` times, the one whose ratio with
        those of this round is lowest, in a tie the one of lower state. The others of (2) stay as they were. A text that
        does not fit when it is looked at is left out for good. Cost: each text that is chosen takes
        `first` / `third` + `second` compressions.
        """
        left = np.sort(numbers)
        while left.size:
            near = left[np.argsort(self._state[left], kind="stable")[: self._widths.first]]
            passed = np.array([number for number in near.tolist() if not fits(number)], dtype=np.int64)
            near = np.sort(np.setdiff1d(near, passed))
            self._state[near] = [self.chosen.ratio(self._texts[number]) for number in near.tolist()]
            few = near[np.argsort(self._state[near], kind="stable")[: self._widths.second]]
            taken: list[int] = []
            for number in self._round(sorted(few.tolist()), fits):
                taken.append(number)
                yield number
            left = np.setdiff1d(left, [*passed, *taken])

    def _round(self, few: list[int], fits: Callable[[int], bool]) -> Iterator[int]:
        """Choose among few texts, one at a time, by their ratio with those of this round."""
        local, texts = Compressed(self._level), {number: self._texts[number] for number in few}
        for _ in range(self._widths.third):
            texts = {number: text for number, text in texts.items() if fits(number)}
            if not texts:
                return
            # Nothing of the round yet: equal texts differ only in what was chosen before.
            keys = {
                number: (local.ratio(text), self._state[number], number) for number, text in texts.items()
            }
            best = min(texts, key=keys.__getitem__)
            text = texts.pop(best)
            local.add(text)
            self.chosen.add(text)
            yield best

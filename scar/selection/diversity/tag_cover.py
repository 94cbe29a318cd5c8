"""Complexity-first diverse sampling over tags, as InsTag does it (arXiv 2308.07074), without its endless passes."""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def tags_of(text: str | None) -> tuple[str, ...]:
    """Read the tags of a carried value: a JSON list, or text with commas; lower case, stripped, each once.

    A member of a JSON list may also be an object with the tag under `tag`, as InsTag writes them.
    """
    names: Iterable[str] = (text or "").split(",")
    if text and text.lstrip().startswith("["):
        try:
            names = [_name(member) for member in json.loads(text)]
        except ValueError:
            pass  # "[a], b" is text with commas
    spaced = (" ".join(name.lower().split()) for name in names)
    return tuple(dict.fromkeys(name for name in spaced if name))


def _name(member: object) -> str:
    named = member.get("tag") if isinstance(member, dict) else member
    return "" if named is None else str(named)


@dataclass(frozen=True)
class TagSets:
    """The tags of n rows as numbers: those of row i are `tags[starts[i] : starts[i + 1]]`."""

    tags: NDArray[np.int32]
    starts: NDArray[np.int64]
    names: tuple[str, ...]
    """Of the numbers."""

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], names: Sequence[str]) -> "TagSets":
        """Number the tags of rows by a vocabulary; tags that are not in it do not count."""
        number = {name: place for place, name in enumerate(names)}
        sizes, tags = array("q", [0]), array("i")
        for row in rows:
            known = [number[name] for name in row if name in number]
            tags.extend(known)
            sizes.append(len(known))
        return cls(np.array(tags, dtype=np.int32), np.cumsum(sizes, dtype=np.int64), tuple(names))

    def __getitem__(self, row: int) -> list[int]:
        """Give the tags of a row."""
        found: list[int] = self.tags[self.starts[row] : self.starts[row + 1]].tolist()
        return found

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of tags of each row."""
        return np.diff(self.starts)


def vocabulary(rows: Iterable[Sequence[str]], least: int = 1) -> tuple[str, ...]:
    """List the tags that at least `least` rows have, in alphabetical order."""
    counts = Counter(name for row in rows for name in row)
    return tuple(sorted(name for name, count in counts.items() if count >= least))


def cover(
    sets: TagSets, order: Iterable[int], fits: Callable[[int], bool], first: Sequence[int] = ()
) -> Iterator[int]:
    """Yield rows so that their tags are covered again and again.

    A pass goes along `order` and takes each row that has a tag the pass has not covered yet; at its end the next one
    begins with nothing covered. A row that does not fit when its turn comes is left out for good. The tags of `first`,
    rows that are not in `order`, are covered in the first pass. Rows without tags are never taken. A pass ends as soon
    as no row that waits can add a tag. Time: passes x the rows that each walks over; at worst the square of the rows.
    """
    waiting = _Waiting(sets, [row for row in order if sets[row]])
    waiting.cover(tag for row in first for tag in sets[row])
    while waiting.rows:
        for row, new in waiting.one_pass():
            if fits(row):
                waiting.cover(new)
                yield row
        waiting.uncover()


class _Waiting:
    """Rows whose turn has not come, in a chain without the others, and what a pass has covered of their tags."""

    def __init__(self, sets: TagSets, order: list[int]) -> None:
        self.rows = len(order)
        self._sets, self._order = sets, order
        self._after = list(range(len(order) + 1))  # the first place, then what follows each place
        self._left = Counter(tag for row in order for tag in sets[row])
        self._covered: set[int] = set()
        self._lacking = len(self._left)

    def cover(self, tags: Iterable[int]) -> None:
        """Mark tags as covered."""
        for tag in tags:
            if tag not in self._covered:
                self._covered.add(tag)
                self._lacking -= tag in self._left

    def uncover(self) -> None:
        """Begin again."""
        self._covered, self._lacking = set(), len(self._left)

    def one_pass(self) -> Iterator[tuple[int, list[int]]]:
        """Yield each row that adds a tag, and what it adds; it waits no more."""
        before, place = 0, self._after[0]
        while self._lacking and place < len(self._order):
            row = self._order[place]
            if new := [tag for tag in self._sets[row] if tag not in self._covered]:
                self._after[before] = self._after[place + 1]
                self._drop(row)
                yield row, new
            else:
                before = place + 1
            place = self._after[place + 1]

    def _drop(self, row: int) -> None:
        self.rows -= 1
        for tag in self._sets[row]:
            self._left[tag] -= 1
            if not self._left[tag]:
                del self._left[tag]
                self._lacking -= tag not in self._covered

"""A chunk as pieces that are scored one after the other: how one record that kills is found. Knows no process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scar.records import Reason, SetAside
from scar.serving.answers import Scores
from scar.serving.sidecar import Item

CRASHES = 2
"""So often a piece of work may take a process along before it is the work that is at fault."""
MOST_CRASHED = 3
"""Records of a chunk that may be set aside for that, or one in a hundred where that is more."""


@dataclass(frozen=True)
class Piece:
    """Neighbouring records of a chunk, `start` to `stop`, and how often a process died of them."""

    start: int
    stop: int
    crashes: int = 0

    def __len__(self) -> int:
        """Count its records."""
        return self.stop - self.start

    def after_crash(self) -> "list[Piece]":
        """Give what is to be tried now: the same again, its halves, or nothing where one record did it alone."""
        crashes = self.crashes + 1
        if crashes < CRASHES:
            return [replace(self, crashes=crashes)]
        if len(self) <= 1:
            return []
        middle = (self.start + self.stop) // 2
        halves = Piece(self.start, middle), Piece(middle, self.stop)
        # That one of them kills is known: it is cut again at its first crash, and a single record has two tries.
        return [replace(half, crashes=CRASHES - 1 if len(half) > 1 else 0) for half in halves]


def too_many(crashed: int, records: int) -> bool:
    """Tell whether so many records killed a process that it is not the records."""
    return crashed > max(MOST_CRASHED, records // 100)


def joined(parts: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    """Put the scores of pieces, by ranker, behind one another."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: _concatenated([part[name] for part in parts]) for name in parts[0]}


def joined_rows(parts: Sequence[NDArray[np.float16] | None]) -> NDArray[np.float16] | None:
    """Put the embeddings of pieces behind one another; None where there are none."""
    given = [part for part in parts if part is not None]
    return np.concatenate(given) if given else None


def _concatenated(parts: Sequence[Scores]) -> Scores:
    return Scores(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.truncated for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )


def without(items: Sequence[Item], crashed: Mapping[int, str]) -> list[Item]:
    """Set aside the records with these numbers among those that could be read; the values say what ended each."""
    number = -1
    found = []
    for item in items:
        number += item.set_aside is None
        ended = crashed.get(number) if item.set_aside is None else None
        found.append(replace(item, set_aside=_crashed(item, ended)) if ended else item)
    return found


def _crashed(item: Item, how: str) -> SetAside:
    detail = f"the process that scored it ended: {how}, twice, alone"
    return SetAside(item.address, Reason.CRASHED, detail, item.id, item.part)

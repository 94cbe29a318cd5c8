"""How often the better judged of two responses scores higher, over all pairs of a block: AUC where labels are two.

Arrays are over n responses; a block is a source, an instruction, or everything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.evaluation.figures import Floats, interval, matched

_CHUNK = 1 << 18
"""Pairs that are compared at once."""


@dataclass(frozen=True)
class Tally:
    """In how many pairs each response stands, and how many of these are in order; a pair counts at both its ends."""

    pairs: Floats
    right: Mapping[str, Floats]
    """Contender -> (n,); a tie counts half."""

    @classmethod
    def of(
        cls,
        judged: Floats,
        scores: Mapping[str, Floats],
        blocks: NDArray[np.int64],
        lengths: Floats | None = None,
    ) -> "Tally":
        """Compare any two responses of a block that are judged differently; of like length, where lengths are given."""
        tally = cls(np.zeros(len(judged)), {name: np.zeros(len(judged)) for name in scores})
        order = np.lexsort((judged, blocks))
        for block in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
            for better, worse in _pairs(judged, block):
                paired = judged[better][:, None] > judged[worse]
                if lengths is not None:
                    paired &= matched(lengths[better][:, None], lengths[worse])
                _add(tally.pairs, better, worse, paired.astype(np.float64))
                for name, values in scores.items():
                    inorder = (np.sign(values[better][:, None] - values[worse]) + 1) / 2
                    _add(tally.right[name], better, worse, inorder * paired)
        return tally

    def figures(
        self, some: NDArray[np.bool_], instructions: NDArray[np.int64], measure: str
    ) -> dict[str, dict[str, Any]]:
        """Give each contender's share of pairs in order, with its interval, over whole blocks of responses."""
        return {
            name: _figure(self.pairs[some], right[some], instructions[some], measure)
            for name, right in self.right.items()
        }

    def within(self, instructions: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
        """Give each contender's accuracy where every block is an instruction: its pairs are then drawn whole."""
        paired = self.pairs > 0
        if not paired.any():
            return {name: {"n": 0} for name in self.right}
        _, group = np.unique(instructions[paired], return_inverse=True)
        counts = np.bincount(group, weights=self.pairs[paired]).astype(np.float64)
        found = {}
        for name, right in self.right.items():
            low, high = interval(np.bincount(group, weights=right[paired]).astype(np.float64), counts)
            share = float(right.sum() / self.pairs.sum())
            found[name] = {"accuracy": share, "low": low, "high": high, "n": int(counts.sum() / 2)}
        return found


def _add(totals: Floats, better: NDArray[np.int64], worse: NDArray[np.int64], counted: Floats) -> None:
    totals[better] += counted.sum(1)
    totals[worse] += counted.sum(0)


def _pairs(judged: Floats, block: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cut a block, sorted by judgement, into parts: some responses, and all that may be judged worse than these."""
    values = judged[block]
    first = np.searchsorted(values, values, "left")
    start = int(np.searchsorted(first, 0, "right"))  # the worst judged are better than none
    while start < len(block):
        end = min(len(block), start + max(1, _CHUNK // len(block)))
        yield block[start:end], block[: first[end - 1]]
        start = end


def _figure(
    pairs: Floats, right: Floats, instructions: NDArray[np.int64], measure: str
) -> dict[str, float | int]:
    """Give the share with a bootstrap 95 % interval; instructions are drawn, with all their responses.

    A pair of two instructions depends on both draws. What is redrawn is its first-order part (Hoeffding's projection),
    a sum over instructions: the interval of the full bootstrap but for terms in 1 / n, at the cost of n, not n squared.
    """
    number = pairs.sum() / 2
    if not number:
        return {"n": 0}
    share = float(right.sum() / pairs.sum())
    _, group = np.unique(instructions, return_inverse=True)
    pulls = np.bincount(group, weights=right - share * pairs) / number
    low, high = interval(pulls * len(pulls), np.ones(len(pulls)))
    return {
        measure: share,
        "low": max(0.0, share + low),
        "high": min(1.0, share + high),
        "n": int(number),
    }

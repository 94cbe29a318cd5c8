"""Timings taken in turn, and what they say together. Knows no engine."""

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scar.serving.bench.job import Timing

log = logging.getLogger("scar")


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Summarise at least one figure."""
        return cls(statistics.median(figures), min(figures), max(figures))


def in_turn(
    timers: Mapping[str, Callable[[int], Timing]], rounds: int, *, before: Callable[[], None] | None = None
) -> dict[str, list[Timing]]:
    """Run every timer once a round, one after the other: what slows the machine down for a while slows all.

    A timer is given the number of the round, from 0; `before` is called at the start of each round.
    """
    found: dict[str, list[Timing]] = {name: [] for name in timers}
    for number in range(rounds):
        if before:
            before()
        for name, timer in timers.items():
            timing = timer(number)
            found[name].append(timing)
            log.info("round %d of %d: %s %.1f rows/s", number + 1, rounds, name, timing.rows_per_second)
    return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide figures round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]

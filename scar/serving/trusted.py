"""What an engine gave, before it is believed: what is not finite is run again, and one and the same for all is refused.

Values are scores, (n,), or vectors, (n, d), of n pairs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.encoding import Pairs
from scar.errors import RunError
from scar.serving.vectors import finite

MOST_ALONE = 8
"""Rows without a finite value that are run again alone, or one in a hundred where that is more: of an engine that gives
nothing else, a second time would be as long as a run."""
CONSTANT = 16
"""So many pairs that a model can tell apart never have one and the same value: a gate refuses a graph that gives it."""


def run_again(values: NDArray[Any], alone: Callable[[int], Any]) -> None:
    """Run each row without a finite value once more, where these are few, by its number; what stays so is NaN."""
    lost = np.flatnonzero(~finite(values))
    if len(lost) <= max(MOST_ALONE, len(values) // 100):
        for number in lost:
            values[number] = alone(int(number))
    values[~finite(values)] = np.nan


def refuse_constant(values: NDArray[Any], pairs: Pairs, what: str = "score") -> None:
    """Raise RunError where pairs that differ, as the model sees them, all have the same value."""
    good = np.flatnonzero(finite(values))
    if len(good) < CONSTANT or np.ptp(values[good], axis=0).max() > 0:
        return
    seen = {tuple(pairs.tokens.of_text(text).tobytes() for text in pairs.texts[number]) for number in good}
    if len(seen) >= CONSTANT:
        told = f", {values[good[0]]:g}," if values.ndim == 1 else ""
        raise RunError(f"the engine gave one and the same {what}{told} for {len(seen)} pairs that all differ")

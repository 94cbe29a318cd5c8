"""How fast candidates are beside the reference. A figure for the record: nothing is timed while a pool is scored."""

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from scar.encoding import Pairs
from scar.serving.models import Model

ROUNDS = 3
"""Passes over the pairs, of which the median counts."""
PAIRS = 256
"""Pairs of a pass."""


def measure(reference: Model, candidate: Model, pairs: Pairs) -> dict[str, Any]:
    """Time both over the same pairs, turn and turn about, so that what else the machine does slows both alike.

    Tokens are those of the distinct texts, without padding. `times` is the candidate's speed in that of the reference.
    """
    seconds: dict[str, list[float]] = {"reference": [], "candidate": []}
    models: Mapping[str, Model] = {"reference": reference, "candidate": candidate}
    for _ in range(ROUNDS):
        for name, model in models.items():
            started = time.perf_counter()
            model.score(pairs)
            seconds[name].append(time.perf_counter() - started)
    theirs, own = median(seconds["reference"]), median(seconds["candidate"])
    return {
        **_rates(pairs, own),
        "reference": _rates(pairs, theirs),
        "times": round(theirs / own, 3),
        "pairs": len(pairs),
        "rounds": ROUNDS,
    }


def _rates(pairs: Pairs, seconds: float) -> dict[str, float]:
    tokens = int(pairs.tokens.lengths.sum())
    return {
        "rows_per_second": round(len(pairs) / seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
    }

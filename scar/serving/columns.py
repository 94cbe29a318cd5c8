"""What stands beside a ranker's score: probability, percentile, p_seen. Scores have shape (n,); no files, no model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.bundle import P_SEEN, Bundle
from scar.calibration import Calibration, Temperature
from scar.errors import InputError

Float32s = NDArray[np.float32]
PREFERS = ("novel", "similar")
"""What a high score of an unseen ranker says of a row: that it is new, or that it is like those that were seen."""


def calibration_of(bundle: Bundle) -> Calibration:
    """Read a bundle's calibration. InputError where it is damaged, or where an unseen ranker says no preference."""
    ranker = bundle.ranker
    if bundle.kind == "unseen" and ranker.get("prefer") not in PREFERS:
        raise InputError(
            f"{bundle.path}: ranker.json: prefer is {ranker.get('prefer')!r}, not {' or '.join(PREFERS)}: "
            "train the ranker again"
        )
    try:
        return Calibration.from_config(ranker.get("calibration"))
    except InputError as error:
        raise InputError(f"{bundle.path}: {error}") from None


def beside(ranker: Mapping[str, Any], calibration: Calibration, scores: Float32s) -> dict[str, Float32s]:
    """Give the columns beside final scores by their names, those that `score_columns` lists; a NaN stays NaN."""
    name, found = ranker["name"], calibration.columns(scores)
    if ranker["kind"] != "unseen":
        return {f"{name}_{ending}": values for ending, values in found.items()}
    # A probability of whatever it prefers would be p_seen or 1 - p_seen: one column, which always means seen.
    probability = found.pop("p", None)
    columns = {f"{name}_{ending}": values for ending, values in found.items()}
    return {**columns, P_SEEN: p_seen(scores, probability, prefer=ranker["prefer"])}


def p_seen(scores: Float32s, probability: Float32s | None, *, prefer: str) -> Float32s:
    """Give the probability of seen out of scores, logit(1 - p_seen) where novel rows are preferred, else logit(p_seen).

    A calibration's `probability`, of being what is preferred, goes before the sigmoid of the score.
    """
    novel = prefer == "novel"
    if probability is None:
        return Temperature(1.0).apply(-scores if novel else scores)
    return np.float32(1) - probability if novel else probability

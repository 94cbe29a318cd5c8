"""From the logits of a balanced classifier to the log odds of seen, and to scores. Arrays are (n,); seen rows are 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.calibration import expected_calibration_error
from scar.settings.unseen import Prefer
from scar.training.calibrate import fit_temperature, group_folds
from scar.training.unseen.folds import Groups, Seen

FLATTEST = 10.0
"""Highest temperature, in typical logits. Scores that lay closer would be lost in the rounding of the shift."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Odds:
    """log odds of seen = logit / temperature + shift.

    Balanced weights make a classifier see as many rows of each side. Bayes' rule adds the log odds of the true share,
    and only after the temperature: a classifier that knows nothing then says the share itself, however it is flattened.
    """

    temperature: float
    shift: float

    def of(self, logits: Floats) -> Floats:
        """Give the log odds of seen."""
        return logits / self.temperature + self.shift


@dataclass(frozen=True)
class Fitted:
    """The odds fitted on all out-of-fold logits, and the expected calibration error of the probability of seen."""

    odds: Odds
    ece_before: float
    """With a temperature of 1."""
    ece_after: float
    """Each row by a temperature that was fitted without its group."""


def shift_of(seen: Seen) -> float:
    """Give the log odds of the share of seen rows."""
    share = float(seen.mean())
    if not 0 < share < 1:
        raise ValueError(f"the share of seen rows is {share}, not between 0 and 1")
    return float(np.log(share / (1 - share)))


def fit_odds(logits: Floats, seen: Seen, groups: Groups, *, seed: int) -> Fitted:
    """Fit the temperature of balanced logits, and measure it on rows that it was not fitted on."""
    labels, shift = seen.astype(np.float64), shift_of(seen)
    fold = group_folds(groups, labels, seed=seed)
    crossed = np.empty(len(logits))
    for number in range(int(fold.max()) + 1):
        out = fold == number
        crossed[out] = _fit(logits[~out], labels[~out], shift).of(logits[out])
    before, after = (
        expected_calibration_error(sigmoid(odds), labels) for odds in (Odds(1.0, shift).of(logits), crossed)
    )
    return Fitted(_fit(logits, labels, shift), before, after)


def _fit(logits: Floats, labels: Floats, shift: float) -> Odds:
    return Odds(fit_temperature(logits, labels, shift=shift, flattest=FLATTEST).temperature, shift)


def sigmoid(odds: Floats) -> Floats:
    """Give the probability of log odds, without overflow."""
    return np.exp(-np.logaddexp(0.0, -odds))


def sign_of(prefer: Prefer) -> float:
    """Give the sign of the score, higher is better: logit(1 - p_seen) for `novel`, logit(p_seen) for `similar`."""
    return -1.0 if prefer == "novel" else 1.0

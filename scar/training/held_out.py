"""Scores of rows that a training held out, and what is fitted on them: probabilities, percentiles, the length trend."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scar.calibration import Calibration, LengthTrend, fit_length_trend
from scar.encoding import Pair, PairEncoder
from scar.errors import InputError
from scar.records import Record, instruction_key
from scar.training.calibrate import errors_on, fit_percentiles, fit_probability, honest_errors
from scar.training.engine import Ranker, torch_model

log = logging.getLogger("scar")


@dataclass(frozen=True)
class HeldOut:
    """Scores of some responses, (n,), and what is known of them."""

    scores: NDArray[np.float32]
    response_tokens: NDArray[np.int64]
    labels: NDArray[np.float32] | None
    """In [0, 1]; None where nothing is labelled."""
    groups: NDArray[np.int64]
    """Which instruction each response answers."""

    @classmethod
    def of(
        cls,
        ranker: Ranker,
        encoder: PairEncoder,
        pairs: Sequence[Pair],
        labels: NDArray[np.float32] | None,
        batch_tokens: int,
        device: torch.device,
    ) -> "HeldOut":
        """Score pairs in torch."""
        encoded = encoder.encode(pairs)
        scores = torch_model(ranker, encoder.settings.pad_id, batch_tokens, device).score(encoded)
        keys: dict[str, int] = {}
        groups = [
            keys.setdefault(instruction_key(Record(tuple(turns), text)), len(keys)) for turns, text in pairs
        ]
        return cls(scores, encoded.response_tokens, labels, np.asarray(groups, dtype=np.int64))

    def __len__(self) -> int:
        """Give the number of responses."""
        return len(self.scores)

    def controlled(self, trend: LengthTrend | None) -> "HeldOut":
        """Take the length trend off the scores, where there is one."""
        if trend is None:
            return self
        return replace(self, scores=trend.apply(self.scores, self.response_tokens))


def length_trend(train: HeldOut) -> LengthTrend:
    """Fit the trend of the score with the response's length."""
    return fit_length_trend(train.scores, train.response_tokens)


def calibrate(
    validation: HeldOut,
    test: HeldOut | None = None,
    *,
    length: LengthTrend | None = None,
    method: str = "auto",
    probability: bool = False,
    name: str = "validation part",
) -> Calibration:
    """Fit a calibration on the validation part; its error is measured on the test part, else by cross-fitting.

    A part that cannot be fitted, for want of rows or of one label, is left out, and a warning says why. `name` is what
    the calibration calls the part that it was fitted on.
    """
    found = Calibration(length=length)
    if method == "none":
        return found
    if not len(validation):
        log.warning("not calibrated: no rows were held out; `scar calibrate` does it on rows of yours")
        return found
    part = validation.controlled(length)
    try:
        found = replace(found, percentile=_named(fit_percentiles(part.scores), name))
        if probability:
            found = replace(found, probability=_probability(part, test, length, method))
    except InputError as error:
        log.warning("not calibrated: %s", error)
    return found


def _probability(part: HeldOut, test: HeldOut | None, length: LengthTrend | None, method: str) -> Any:
    assert part.labels is not None, "only labelled parts become probabilities"
    fitted = fit_probability(part.scores, part.labels, method)  # type: ignore[arg-type]
    if test is not None and test.labels is not None and len(test):
        errors = {
            **errors_on(test.controlled(length).scores, test.labels, fitted),
            "measured_on": "test part",
        }
    else:
        errors = honest_errors(part.scores, part.labels, part.groups, method=method, seed=0)  # type: ignore[arg-type]
        errors = {**errors, "measured_on": "validation part, cross-fitted"}
    return replace(fitted, facts={**fitted.facts, "fitted_on": "validation part", **errors})


def _named(part: Any, what: str) -> Any:
    return replace(part, facts={**part.facts, "reference": what})

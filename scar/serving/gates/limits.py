"""What must hold in each precision. Knows figures, no graphs.

An fp32 graph computes the same numbers in another order, so each difference is bounded. Reduced precision does not,
so what is bounded is the ranking: it needs rows enough for a best hundredth, and a ranker that ranks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scar.serving.gates.figures import NEAR, Figures

FP32_LIMIT = 1e-4
"""Largest difference of an fp32 graph, in standard deviations of the reference scores."""
ROUNDING = 1e-6
"""Differences of fp32 scores up to this are arithmetic: where that is too much, the ranker has learned little."""
LEAST_ROWS = 2000
"""Real rows that a gate of reduced precision needs: the best hundredth of them are 20."""


@dataclass(frozen=True)
class Limits:
    """What a reduced precision must reach on the real rows; of the hard ones every score must be finite."""

    spearman: float
    top_10: float = 0.97
    top_1: float = 0.90
    rms: float | None = None
    """In sigma; None where the scores may move as long as the ranking stays."""
    within: float | None = None
    """Share of the rows that are near."""

    def __str__(self) -> str:
        """Tell the limits as gates.json has them."""
        near = (
            ""
            if self.rms is None
            else f"rms <= {self.rms:g} sigma, {self.within:.1%} of rows <= {NEAR:g} sigma, "
        )
        return (
            f"{near}Spearman >= {self.spearman:g}, top-10 % overlap >= {self.top_10:g}, "
            f"top-1 % overlap >= {self.top_1:g}, on >= {LEAST_ROWS:,} rows of a trained ranker"
        )

    def missed(self, real: Figures) -> list[str]:
        """Tell each limit that the figures do not keep; a figure that is not a number keeps none."""
        floors = {"Spearman": (real.spearman, self.spearman)}
        if self.within is not None:
            floors[f"share of rows within {NEAR:g} sigma"] = (real.within, self.within)
        floors |= {
            "top-10 % overlap": (real.top_10, self.top_10),
            "top-1 % overlap": (real.top_1, self.top_1),
        }
        told = [
            f"{name} is {have:.4g}, at least {least:g} is needed"
            for name, (have, least) in floors.items()
            if not have >= least
        ]
        if self.rms is not None and not real.rms <= self.rms * real.sigma:
            told.insert(0, f"rms is {real.rms / real.sigma:.3g} sigma, allowed is {self.rms:g}")
        return told


_NEAR = Limits(0.999, rms=0.05, within=0.999)
REDUCED = {"bf16": _NEAR, "fp16": _NEAR, "int8": Limits(0.995)}


def told(precision: str) -> str:
    """Tell the limits of a precision in words."""
    return f"max difference <= {FP32_LIMIT:g} sigma" if precision == "fp32" else str(REDUCED[precision])


def is_trained(ranker: Mapping[str, Any]) -> bool:
    """Tell whether the ranker of this ranker.json has learned; of an import the steps are not known (null)."""
    return ranker.get("trained_steps") != 0


def unfit(precision: str, rows: int, *, trained: bool) -> str:
    """Tell why a precision cannot be judged on so many rows of such a ranker; empty where it can."""
    if precision == "fp32":
        return ""
    if not trained:
        return f"{precision} is judged by the ranking of a trained ranker: this one is untrained (trained_steps: 0)"
    if rows < LEAST_ROWS:
        return f"{precision} is judged on at least {LEAST_ROWS:,} rows, there are {rows:,}: give more with --rows POOL"
    return ""


def verdict(precision: str, real: Figures, hard: Figures) -> str:
    """Tell why figures do not pass the gate of a precision; empty where they do."""
    if not np.isfinite(real.sigma):
        return "the reference gives scores that are not finite"
    if real.sigma == 0:
        return "the reference gives the same score for every row"
    worst = max(real.max_difference, hard.max_difference)
    if not np.isfinite(worst):
        return "it gives scores that are not finite"
    if precision == "fp32":
        return _of_fp32(worst, real.sigma)
    return "; ".join(REDUCED[precision].missed(real))


def _of_fp32(worst: float, sigma: float) -> str:
    if worst <= FP32_LIMIT * sigma:
        return ""
    told = f"scores differ by up to {worst:.3g}, allowed is {FP32_LIMIT * sigma:.3g} ({FP32_LIMIT:g} sigma)"
    if worst <= ROUNDING:
        told += f": that is rounding, but the scores hardly vary (sigma {sigma:.2g}); train longer"
    return told

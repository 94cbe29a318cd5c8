"""One score out of several: reciprocal ranks or weighted ranks. Numpy only; knows nothing of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.ranks import Floats, mean_ranks

METHODS = ("rrf", "ranks")
K = 60.0
"""The constant of reciprocal rank fusion in its paper."""
SAME = 1e-13
"""Fused scores closer than this, relatively, are one score."""
EXAMPLE = "{fuse: rrf, of: {style: 1, quality: 2}}"
# The fused score is written as float32, which ends at 3e38.
_MOST = 1e30


@dataclass(frozen=True)
class Fuse:
    """A score out of the ranks of several columns, with their weights; higher is better.

    `rrf`: the sum of weight / (k + rank), rank 1 the best (Cormack et al. 2009). `ranks`: the weighted mean of the
    ranks over their number, 1 the best. Ranks are among all records that have scores, whatever stages dropped; ties
    share their mean rank.
    """

    method: str
    of: Mapping[str, float]
    """Column -> weight."""
    k: float | None = None
    """The constant of `rrf`: 60 where none is given; the larger, the less the first places count."""

    def __post_init__(self) -> None:
        """Check the method and the weights."""
        if self.method not in METHODS:
            raise InputError(f"fuse: no method {self.method!r}; there are: {', '.join(METHODS)}")
        _check_weights(self.of)
        object.__setattr__(self, "of", dict(self.of))
        if self.k is None:
            return
        if self.method != "rrf":
            raise InputError(f"fuse: k belongs to rrf, not to {self.method}: leave it out")
        if not _number(self.k) or not 0 <= self.k <= _MOST:
            raise InputError(f"fuse: k must be a number of at least 0, got {self.k!r}")

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash((self.method, frozenset(self.of.items()), self.k))

    @classmethod
    def from_config(cls, config: Mapping[Any, Any]) -> "Fuse":
        """Read the `by` of a rules.yaml that is not one name."""
        if unknown := sorted(set(config) - {"fuse", "of", "k"}, key=str):
            raise InputError(f"unknown key {unknown[0]!r}; known: fuse, of, k")
        if missing := [key for key in ("fuse", "of") if key not in config]:
            raise InputError(f"{missing[0]!r} is missing; write such as {EXAMPLE}")
        return cls(config["fuse"], config["of"], config.get("k"))

    def to_config(self) -> dict[str, Any]:
        """Write it as a rules.yaml holds it."""
        return {"fuse": self.method, "of": dict(self.of)} | ({} if self.k is None else {"k": self.k})

    def combine(self, columns: Sequence[NDArray[Any]]) -> Floats:
        """Fuse columns of shape (n,), in the order of `of`; gives shape (n,)."""
        weights = list(self.of.values())
        total: Floats = np.zeros(len(columns[0]))
        for weight, column in zip(weights, columns, strict=True):
            total += weight * self._part(mean_ranks(column))
        return _settled(total if self.method == "rrf" else total / sum(weights))

    def _part(self, ranks: Floats) -> Floats:
        """Turn ranks, 1 the worst, into a column's share of the score."""
        if self.method == "ranks":
            return ranks / max(1, len(ranks))
        return 1 / ((K if self.k is None else self.k) + len(ranks) + 1 - ranks)


By = str | Fuse
"""What a rule can order by: a column, or a score fused from several."""


def names_of(by: By) -> tuple[str, ...]:
    """List the columns of a score."""
    return tuple(by.of) if isinstance(by, Fuse) else (by,)


def _settled(scores: Floats) -> Floats:
    """Give scores that differ by rounding alone one value: a tie must not hang on the order of the addition."""
    order = np.argsort(scores, kind="stable")
    climbing = scores[order]
    starts = np.diff(climbing, prepend=-np.inf) > SAME * climbing
    out = np.empty_like(scores)
    out[order] = climbing[starts][np.cumsum(starts) - 1]
    return out


def _check_weights(of: object) -> None:
    if not isinstance(of, Mapping) or not all(isinstance(name, str) for name in of):
        raise InputError(f"fuse: `of` must give columns their weights, as in {EXAMPLE}; got {of!r}")
    if len(of) < 2:
        raise InputError(f"fuse: `of` needs at least two columns, as in {EXAMPLE}; got {of!r}")
    for name, weight in of.items():
        if not _number(weight) or not 0 < weight <= _MOST:
            raise InputError(f"fuse: the weight of {name!r} must be a finite number above 0, got {weight!r}")


def _number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)

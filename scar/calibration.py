"""What scores mean: probabilities, percentiles of a reference pool, the trend with length. Numpy only; no files.

Scores have shape (n,). Everything is computed in float64, row by row, and given back as float32, so that no
engine and no batch changes it; a NaN stays NaN. Probabilities and percentiles never decrease with the score.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scar.errors import InputError

Scores = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

MOST_QUANTILES = 1001
"""Reference scores that are kept: one for each tenth of a per cent, both ends among them."""
_MOST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Temperature:
    """A probability as sigmoid(score / temperature) (Guo et al., arXiv 1706.04599)."""

    temperature: float
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What it was fitted on; free, JSON."""

    def __post_init__(self) -> None:
        """Check the temperature."""
        if not (_is_number(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature must be a finite number above 0, got {self.temperature!r}")

    def apply(self, scores: Scores) -> Float32s:
        """Give the probabilities of scores, each in [0, 1]."""
        # Three steps, each monotone after rounding; exp may overflow, and then the probability is 0.
        with np.errstate(over="ignore"):
            return (1 / (1 + np.exp(-np.asarray(scores, dtype=np.float64) / self.temperature))).astype(
                np.float32
            )


@dataclass(frozen=True)
class Isotonic:
    """A probability as a piecewise-linear, non-decreasing function of the score, constant beyond its end knots."""

    x: tuple[float, ...]
    """Scores of the knots, increasing."""
    y: tuple[float, ...]
    """Probabilities of the knots, never decreasing."""
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What it was fitted on; free, JSON."""

    def __post_init__(self) -> None:
        """Check the knots."""
        _check_numbers("x", self.x)
        _check_numbers("y", self.y)
        if len(self.x) != len(self.y):
            raise InputError(f"x has {len(self.x)} knots and y {len(self.y)}: they must be as many")
        _check_steps("x", np.diff(self.x) > 0, "must be above the knot before it")
        _check_steps("y", np.diff(self.y) >= 0, "must not be below the knot before it")
        if not 0 <= self.y[0] <= self.y[-1] <= 1:
            raise InputError(f"y goes from {self.y[0]} to {self.y[-1]}: probabilities lie between 0 and 1")

    def apply(self, scores: Scores) -> Float32s:
        """Give the probabilities of scores, each in [0, 1]."""
        exact, y = np.asarray(scores, dtype=np.float64), np.asarray(self.y)
        # Rounding may lift the end of a piece above the knot that follows: the next piece would then lie lower.
        following = np.minimum(np.searchsorted(self.x, exact, "right"), len(y) - 1)
        with np.errstate(over="ignore", invalid="ignore"):
            lifted = np.interp(exact, self.x, y)
        probabilities: Floats = np.minimum(lifted, y[following])
        return probabilities.astype(np.float32)


@dataclass(frozen=True)
class Percentiles:
    """How many per cent of a reference pool a score beats."""

    scores: tuple[float, ...]
    """Scores of the reference pool in order: all of them, or MOST_QUANTILES quantiles of them."""
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What it was fitted on; free, JSON."""

    def __post_init__(self) -> None:
        """Check the reference scores."""
        _check_numbers("scores", self.scores)
        if len(self.scores) > MOST_QUANTILES:
            raise InputError(f"scores has {len(self.scores)} values; at most {MOST_QUANTILES} are kept")
        _check_steps("scores", np.diff(self.scores) >= 0, "must not be below the one before it")

    def apply(self, scores: Scores) -> Float32s:
        """Give "better than x % of the reference pool", 0 to 100, by mid-rank.

        100 x (reference scores below + half of those equal) / all of them: below all is 0, above all is 100. Where
        the pool was reduced to quantiles this is within 0.2 of the figure over the whole pool.
        """
        exact = np.asarray(scores, dtype=np.float64)
        ranks = np.searchsorted(self.scores, exact, "left") + np.searchsorted(self.scores, exact, "right")
        shares = 100 * ranks / (2 * len(self.scores))
        shares[np.isnan(exact)] = np.nan
        return shares.astype(np.float32)


@dataclass(frozen=True)
class LengthTrend:
    """The straight line of the score on ln(1 + response tokens), to be taken off the score."""

    slope: float
    intercept: float
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What it was fitted on; free, JSON."""

    def __post_init__(self) -> None:
        """Check the line."""
        for name in ("slope", "intercept"):
            if not _is_number(value := getattr(self, name)):
                raise InputError(f"{name} must be a finite number, got {value!r}")

    def apply(self, scores: Scores, response_tokens: NDArray[np.integer[Any]]) -> Float32s:
        """Give what the length does not explain: score - (intercept + slope x ln(1 + response tokens))."""
        trend = self.intercept + self.slope * np.log1p(np.asarray(response_tokens, dtype=np.float64))
        with np.errstate(over="ignore"):
            return (np.asarray(scores, dtype=np.float64) - trend).astype(np.float32)


def fit_length_trend(scores: Scores, response_tokens: NDArray[np.integer[Any]]) -> LengthTrend:
    """Fit the trend by ordinary least squares over the rows with a finite score; equal lengths have slope 0."""
    y = np.asarray(scores, dtype=np.float64)
    x = np.log1p(np.asarray(response_tokens, dtype=np.float64))
    if x.shape != y.shape:
        raise InputError(f"{len(y)} scores and {len(x)} response lengths: give one length a score")
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(y) < 2:
        raise InputError(f"{len(y)} rows have a finite score: a trend with length needs at least 2")
    away = x - x.mean()
    # Equal lengths: the mean of equal numbers may be off by a rounding, and 0 / 0 must not become a slope.
    slope = float(away @ (y - y.mean()) / (away @ away)) if np.ptp(x) else 0.0
    return LengthTrend(slope, float(y.mean() - slope * x.mean()), {"rows": len(y)})


@dataclass(frozen=True)
class Calibration:
    """What ranker.json says under `calibration`: each part may be missing."""

    probability: Temperature | Isotonic | None = None
    percentile: Percentiles | None = None
    length: LengthTrend | None = None
    """It makes the score itself: the other two were fitted on, and take, scores from which it was taken off."""

    @classmethod
    def from_config(cls, value: object) -> "Calibration":
        """Read the `calibration` of ranker.json, null or missing being none. InputError where it is damaged."""
        parts = {} if value is None else value
        if not isinstance(parts, Mapping):
            raise InputError(f"ranker.json: calibration is {_told(parts)}, not an object; {_REMEDY}")
        if unknown := [name for name in parts if name not in _READERS]:
            raise InputError(f"ranker.json: calibration has no part {unknown[0]!r}; {_REMEDY}")
        return cls(**{name: _read_part(name, part) for name, part in parts.items() if part is not None})

    def to_config(self) -> dict[str, Any]:
        """Give the JSON that `from_config` reads."""
        parts = {name: getattr(self, name) for name in _READERS}
        return {name: _config(part) for name, part in parts.items() if part is not None}

    def facts(self) -> dict[str, Any]:
        """Give what each part was fitted on."""
        parts = {name: getattr(self, name) for name in _READERS}
        return {name: dict(part.facts) for name, part in parts.items() if part is not None}

    def columns(self, scores: Scores) -> dict[str, Float32s]:
        """Give what stands beside the scores: `p` and `percentile`, those that there are."""
        parts = {"p": self.probability, "percentile": self.percentile}
        return {name: part.apply(scores) for name, part in parts.items() if part is not None}


def expected_calibration_error(probability: ArrayLike, label: ArrayLike, bins: int = 15) -> float:
    """Give the mean over bins of |mean probability - mean label|, weighted by rows; NaN without rows.

    Bins are of equal mass, not of equal width: a row's bin is its mid-rank x bins / rows. Equal probabilities share
    a bin, so that the order of the rows does not matter. Labels may be soft, in [0, 1]; a row whose probability is
    NaN does not count.
    """
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(label, dtype=np.float64)
    p, y = p[~np.isnan(p)], y[~np.isnan(p)]
    if not len(p):
        return float("nan")
    ordered = np.sort(p)
    twice_rank = np.searchsorted(ordered, p, "left") + np.searchsorted(ordered, p, "right")
    return float(np.abs(np.bincount(twice_rank * bins // (2 * len(p)), weights=p - y)).sum() / len(p))


_REMEDY = "run `scar calibrate` again"


def _read_probability(values: dict[str, Any]) -> Temperature | Isotonic:
    method = values.pop("method", None)
    if method == "temperature":
        return Temperature(**values)
    if method == "isotonic":
        return Isotonic(_numbers(values, "x"), _numbers(values, "y"), **values)
    raise InputError(f"method must be temperature or isotonic, got {method!r}")


_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "probability": _read_probability,
    "percentile": lambda values: Percentiles(_numbers(values, "scores"), **values),
    "length": lambda values: LengthTrend(**values),
}


def _read_part(name: str, value: object) -> Any:
    """Read one part, an unchecked JSON value; whatever is wrong with it is told with its place."""
    try:
        if not isinstance(value, Mapping):
            raise InputError(f"is {_told(value)}, not an object")
        if not isinstance(value.get("facts", {}), Mapping):
            raise InputError(f"facts is {_told(value['facts'])}, not an object")
        return _READERS[name](dict(value))
    except KeyError as error:
        raise InputError(f"ranker.json: calibration.{name}: {error} is missing; {_REMEDY}") from None
    except (InputError, TypeError) as error:
        # TypeError: a field that the part does not have, or lacks; Python's words name it.
        told = str(error).replace(".__init__()", "")
        raise InputError(f"ranker.json: calibration.{name}: {told}; {_REMEDY}") from None


def _config(part: Temperature | Isotonic | Percentiles | LengthTrend) -> dict[str, Any]:
    methods = {Temperature: {"method": "temperature"}, Isotonic: {"method": "isotonic"}}
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(part).items()}
    return {**methods.get(type(part), {}), **values, "facts": dict(part.facts)}


def _numbers(values: dict[str, Any], name: str) -> tuple[Any, ...]:
    """Take a list out of a JSON object; its items are checked where they are used."""
    value = values.pop(name)
    if not isinstance(value, list):
        raise InputError(f"{name} is {_told(value)}, not a list of numbers")
    return tuple(value)


def _told(value: object) -> str:
    return f"of type {type(value).__name__}"


def _is_number(value: object) -> bool:
    """Tell whether a value is a number that a float32 score can be; a bool is not, nor is NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST


def _check_numbers(name: str, values: Sequence[object]) -> None:
    if not values:
        raise InputError(f"{name} is empty: at least one number is needed")
    if bad := [number for number, value in enumerate(values) if not _is_number(value)]:
        raise InputError(f"{name}[{bad[0]}] must be a finite number, got {values[bad[0]]!r}")


def _check_steps(name: str, rises: NDArray[np.bool_], wish: str) -> None:
    """Raise InputError naming the first value that does not follow the one before it as it should."""
    if not rises.all():
        raise InputError(f"{name}[{int(np.argmin(rises)) + 1}] {wish}")

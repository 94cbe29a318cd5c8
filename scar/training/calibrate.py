"""Fit calibrations on held-out scores and labels, and measure them on rows that they were not fitted on.

Scores and labels have shape (n,). A label is the probability that the row is good: 0 or 1, or in between where it is
soft. A row without a finite score takes no part. Knows no files and no models.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scar.calibration import (
    MOST_QUANTILES,
    Floats,
    Isotonic,
    Percentiles,
    Scores,
    Temperature,
    expected_calibration_error,
)
from scar.errors import InputError

# scikit-learn and scipy are imported where they are used: percentiles can be fitted without the train extra.

Method = Literal["auto", "temperature", "isotonic"]
ENOUGH_ROWS, ENOUGH_OF_EACH = 1000, 100
"""From so many rows, and so many of each class, `auto` fits an isotonic curve; a temperature needs far fewer."""
MOST_KNOTS = 1000
_FLATTEST = 1000.0
"""Highest temperature, in typical scores: every probability is then 0.5, within 0.0003."""


def fit_probability(scores: Scores, labels: ArrayLike, method: Method = "auto") -> Temperature | Isotonic:
    """Fit what turns a score into a probability; `auto` is isotonic where the rows are enough for it.

    A soft label counts as so much of a good row, and the rest of it as a bad one.
    """
    _, y = _two_classes(scores, labels)
    return (
        fit_isotonic(scores, labels) if _chosen(method, y) == "isotonic" else fit_temperature(scores, labels)
    )


def fit_temperature(
    scores: Scores, labels: ArrayLike, *, shift: float = 0.0, flattest: float = _FLATTEST
) -> Temperature:
    """Minimise the log loss of sigmoid(score / T + shift) over ln T (Guo et al., arXiv 1706.04599).

    A `shift` is known, not fitted: the log odds of a share, for scores that know nothing of it.

    T has bounds. Below: n rows cannot tell probabilities beyond (n + 1) / (n + 2) (rule of succession), so a typical
    score (root mean square) gets no higher one; scores that separate the classes would have T = 0. Above: scores
    that say nothing, or the contrary, are divided by `flattest` typical ones, and get 0.5 (without a shift).
    `facts["at_bound"]` says whether a bound was met.
    """
    from scipy.optimize import minimize_scalar

    z, y = _two_classes(scores, labels)
    typical = float(np.sqrt(np.mean(z**2))) or 1.0
    low, high = np.log(typical / np.log(len(z) + 1)), np.log(typical * flattest)

    def loss(log_t: float) -> float:
        logits = z / np.exp(log_t) + shift
        return float(np.mean(np.logaddexp(0, logits) - y * logits))

    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    # The search comes near an end of its interval and never lands on it.
    at_bound = bool(min(found.x - low, high - found.x) < 1e-4)
    return Temperature(float(np.exp(found.x)), {**_facts(scores, y, "temperature"), "at_bound": at_bound})


def fit_isotonic(scores: Scores, labels: ArrayLike) -> Isotonic:
    """Fit the non-decreasing curve of least squares, thinned to MOST_KNOTS knots at most.

    One made-up good row at the lowest score and one bad row at the highest keep every probability strictly inside
    (0, 1): an end block of m rows of one class gets 1 / (m + 1) from it, not a certainty that m rows cannot give.
    """
    from sklearn.isotonic import IsotonicRegression

    z, y = _two_classes(scores, labels)
    curve = IsotonicRegression().fit(np.r_[z, z.min(), z.max()], np.r_[y, 1.0, 0.0])
    x, p = curve.X_thresholds_, curve.y_thresholds_
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_KNOTS)).round().astype(np.int64))
    return Isotonic(tuple(x[kept].tolist()), tuple(p[kept].tolist()), _facts(scores, y, "isotonic"))


def fit_percentiles(scores: Scores) -> Percentiles:
    """Keep a reference pool's finite scores: all of few, of many MOST_QUANTILES quantiles, each a score of the pool."""
    # As float32, like the scores that will be compared: a tie must be a tie.
    exact = np.asarray(scores, dtype=np.float32).astype(np.float64)
    known = np.sort(exact[np.isfinite(exact)])
    if not len(known):
        raise InputError(
            f"none of {len(exact)} reference rows has a finite score: give a pool that can be scored"
        )
    if len(known) > MOST_QUANTILES:
        places = np.linspace(0, 1, MOST_QUANTILES) * (len(known) - 1)
        kept = known[places.round().astype(np.int64)]
    else:
        kept = known
    facts = {"rows": len(known), "without_score": len(exact) - len(known)}
    return Percentiles(tuple(kept.tolist()), facts)


def errors_on(scores: Scores, labels: ArrayLike, probability: Temperature | Isotonic) -> dict[str, Any]:
    """Give the expected calibration error before (sigmoid of the score) and after, on rows kept for testing."""
    z, y = _labelled(scores, labels)
    return _errors(z, y, probability.apply(z).astype(np.float64))


def honest_errors(
    scores: Scores,
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    method: Method = "auto",
    seed: int,
    folds: int = 5,
) -> dict[str, Any]:
    """Give the expected calibration error before and after, each row calibrated by a fit that saw nothing of its group.

    `groups` (n,) are ids: of instructions, as a rule. The method is chosen once, by all rows. There are at most as many
    folds as groups.
    """
    z, y = _two_classes(scores, labels)
    ids = np.asarray(groups)
    if len(ids) != len(np.asarray(scores)):
        raise InputError(f"{len(np.asarray(scores))} scores and {len(ids)} groups: give one group a score")
    fold = group_folds(ids[np.isfinite(np.asarray(scores))], y, seed=seed, folds=folds)
    chosen = _chosen(method, y)
    after = np.empty(len(z))
    for number in range(fold.max() + 1):
        out = fold == number
        try:
            after[out] = fit_probability(z[~out], y[~out], chosen).apply(z[out])
        except InputError as error:
            raise InputError(f"the calibration cannot be cross-fitted by group: {error}") from None
    return {**_errors(z, y, after), "method": chosen, "folds": int(fold.max()) + 1}


def group_folds(groups: NDArray[Any], labels: Floats, *, seed: int, folds: int = 5) -> NDArray[np.int64]:
    """Give each row a fold, (n,), whole groups together and each fold with its share of good rows."""
    names, group = np.unique(groups, return_inverse=True)
    folds = min(folds, len(names))
    if folds < 2:
        raise InputError(
            f"{folds} group of rows: an honest calibration error needs at least 2 folds, and as many groups"
        )
    good = np.bincount(group, weights=labels) / np.bincount(group)
    order = np.random.default_rng(seed).permutation(len(names))
    # Dealt like cards, sorted by their share of good rows: neighbours go to different folds.
    order = order[np.argsort(good[order], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[order] = np.arange(len(names)) % folds
    return fold[group]


def _labelled(scores: Scores, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Give the rows with a finite score, float64; InputError where there is none, or a label is not in [0, 1]."""
    z, y = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if z.shape != y.shape:
        raise InputError(f"{len(z)} scores and {len(y)} labels: give one label a score")
    if not len(z):
        raise InputError("no labelled rows to calibrate on: give a file that has some")
    wrong = np.flatnonzero(~((y >= 0) & (y <= 1)))
    if wrong.size:
        raise InputError(
            f"the label of row {wrong[0]} is {y[wrong[0]]}: labels are numbers from 0 to 1; correct or drop the row"
        )
    finite = np.isfinite(z)
    if not finite.any():
        raise InputError(
            f"none of {len(z)} labelled rows has a finite score: see `scar inspect` and the bundle's gates"
        )
    return z[finite], y[finite]


def _two_classes(scores: Scores, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Give the rows that a calibration is fitted on; InputError where all are good or all are bad."""
    z, y = _labelled(scores, labels)
    if y.min() == y.max() and y[0] in (0, 1):
        raise InputError(
            f"all {len(y)} labels are {y[0]:g}: a calibration needs good and bad rows; add the others"
        )
    return z, y


def _chosen(method: Method, labels: Floats) -> Literal["temperature", "isotonic"]:
    if method not in get_args(Method):
        raise InputError(f"--method {method!r}: one of {', '.join(get_args(Method))}")
    if method != "auto":
        return method
    enough = len(labels) >= ENOUGH_ROWS and min(labels.sum(), (1 - labels).sum()) >= ENOUGH_OF_EACH
    return "isotonic" if enough else "temperature"


def why(labels: ArrayLike, method: Method = "auto") -> str:
    """Say why a method was chosen, in words; `labels` are those of the rows with a score."""
    if method != "auto":
        return "asked for"
    y = np.asarray(labels, dtype=np.float64)
    told = f"{len(y):,} rows, {min(y.sum(), (1 - y).sum()):,.0f} of the rarer label"
    return f"{told}; isotonic from {ENOUGH_ROWS:,} and {ENOUGH_OF_EACH}"


def _facts(scores: Scores, labels: Floats, method: str) -> dict[str, Any]:
    missing = len(np.asarray(scores)) - len(labels)
    return {"method": method, "rows": len(labels), "without_score": missing, "good": float(labels.mean())}


def _errors(scores: Floats, labels: Floats, after: Floats) -> dict[str, Any]:
    before = Temperature(1.0).apply(scores)
    return {
        "rows": len(labels),
        "ece_before": expected_calibration_error(before, labels),
        "ece_after": expected_calibration_error(after, labels),
    }

"""Fitted calibrations against scikit-learn, scipy and brute force; planted faults are repaired."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import percentileofscore
from sklearn.metrics import log_loss

from scar.calibration import MOST_QUANTILES, Isotonic, Temperature, expected_calibration_error
from scar.errors import InputError
from scar.training.calibrate import (
    MOST_KNOTS,
    errors_on,
    fit_isotonic,
    fit_percentiles,
    fit_probability,
    fit_temperature,
    group_folds,
    honest_errors,
)

COARSE = st.integers(-6, 6).map(lambda n: n / 2)


def overconfident(n, *, seed=0, factor=3.0):
    """Make labels drawn from logits, and scores that are those logits times a factor."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, n)
    labels = (random.random(n) < expit(logits)).astype(np.float64)
    return (logits * factor).astype(np.float32), labels


def test_a_planted_temperature_is_found_and_the_error_falls():
    scores, labels = overconfident(20_000)
    found = fit_temperature(scores, labels)
    assert found.temperature == pytest.approx(3, rel=0.05)
    errors = errors_on(*overconfident(20_000, seed=1), found)
    assert errors["ece_before"] > 0.1 and errors["ece_after"] < 0.02


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.tuples(COARSE, st.integers(0, 1)), min_size=8, max_size=40))
def test_no_temperature_of_a_grid_has_a_lower_log_loss(rows):
    # A row of each class at either end: classes that overlap have their best temperature inside the bounds or above.
    z, y = (
        np.asarray(column, dtype=np.float64) for column in zip(*rows, (3, 0), (-3, 1), (3, 1), strict=True)
    )
    found = fit_temperature(z, y)
    mine = log_loss(y, expit(z / found.temperature))
    low = np.sqrt(np.mean(z**2)) / np.log(len(z) + 1)
    grid = low * np.geomspace(1, 500, 40)
    assert mine <= min(log_loss(y, expit(z / t)) for t in grid) + 1e-9
    assert found.temperature >= low * (1 - 1e-9)


def test_soft_labels_give_the_temperature_of_the_rows_that_they_stand_for():
    z, share = np.asarray([-2.0, -1.0, 0.5, 3.0]), np.asarray([0.25, 0.5, 0.5, 0.75])
    many = np.repeat(z, 4)
    hard = np.concatenate([np.arange(4) < 4 * one for one in share]).astype(float)
    assert fit_temperature(z, share).temperature == pytest.approx(
        fit_temperature(many, hard).temperature, rel=1e-6
    )


def test_separated_classes_are_no_certainty():
    found = fit_temperature(np.asarray([-5.0, -5, 5, 5]), np.asarray([0, 0, 1, 1]))
    assert found.facts["at_bound"]
    assert not fit_temperature(*overconfident(200)).facts["at_bound"]
    assert found.apply(np.asarray([5.0]))[0] == pytest.approx(5 / 6)  # (n + 1) / (n + 2)


def test_scores_that_say_the_contrary_get_one_half():
    found = fit_temperature(np.asarray([-5.0, -4, 4, 5]), np.asarray([1, 1, 0, 0]))
    assert found.facts["at_bound"] and found.apply(np.asarray([5.0]))[0] == pytest.approx(0.5, abs=1e-3)


def test_scores_that_are_all_zero_get_one_half():
    assert fit_temperature(np.zeros(4), np.asarray([0, 1, 1, 1])).apply(np.zeros(1))[0] == 0.5


def brute_isotonic(z, y):
    """Give the least-squares non-decreasing fit at each distinct score, by its min-max formula."""
    z, y = np.r_[z, z.min(), z.max()], np.r_[y, 1, 0]
    places = np.unique(z)
    n = len(places)
    mean = {
        (low, high): y[(z >= places[low]) & (z <= places[high])].mean()
        for low in range(n)
        for high in range(low, n)
    }
    return places, [
        max(min(mean[low, high] for high in range(at, n)) for low in range(at + 1)) for at in range(n)
    ]


@given(st.lists(st.tuples(COARSE, st.sampled_from([0.0, 0.3, 1.0])), min_size=2, max_size=25))
def test_an_isotonic_fit_is_that_of_the_min_max_formula_and_never_certain(rows):
    z, y = (np.asarray(column) for column in zip(*rows, (0.0, 0.0), (0.0, 1.0), strict=True))
    curve = fit_isotonic(z, y)
    places, expected = brute_isotonic(z, y)
    assert curve.apply(places) == pytest.approx(expected, abs=1e-6)
    assert 0 < curve.y[0] <= curve.y[-1] < 1


def test_the_ends_of_an_isotonic_curve_know_how_few_rows_they_are():
    curve = fit_isotonic(np.arange(8.0), np.asarray([0, 0, 0, 0, 1, 1, 1, 1]))
    assert curve.apply(np.asarray([-9.0, 9.0])) == pytest.approx([1 / 5, 4 / 5])


def test_an_isotonic_curve_keeps_few_knots_and_stays_close():
    z = np.linspace(-4, 4, 5000)
    curve = fit_isotonic(z, expit(z))  # soft labels that rise with every row: a knot a row
    assert len(curve.x) <= MOST_KNOTS and (curve.x[0], curve.x[-1]) == (z[0], z[-1])
    assert curve.apply(z[200:-200]) == pytest.approx(expit(z[200:-200]), abs=0.005)


def test_an_isotonic_curve_repairs_what_no_temperature_can():
    random = np.random.default_rng(0)
    z = random.normal(5, 2, 8000)  # logits with an offset, as of a reward model
    y = (random.random(8000) < expit(z - 5)).astype(float)
    half = slice(None, 4000), slice(4000, None)
    errors = {
        fit.__name__: errors_on(z[half[1]], y[half[1]], fit(z[half[0]], y[half[0]]))
        for fit in (fit_temperature, fit_isotonic)
    }
    assert errors["fit_isotonic"]["ece_after"] < 0.03 < errors["fit_temperature"]["ece_after"]


@pytest.mark.parametrize(
    ("rows", "good", "kind"),
    [(1000, 100, Isotonic), (999, 400, Temperature), (1000, 99, Temperature), (1200, 1101, Temperature)],
)
def test_auto_is_isotonic_from_1000_rows_with_100_of_each_class(rows, good, kind):
    labels = (np.arange(rows) < good).astype(float)
    found = fit_probability(np.random.default_rng(0).normal(size=rows), labels)
    assert isinstance(found, kind)
    assert found.facts["method"] == kind.__name__.lower()
    assert found.facts["rows"] == rows and found.facts["good"] == pytest.approx(good / rows)


def test_a_method_that_is_asked_for_is_used():
    z, y = overconfident(50)
    assert isinstance(fit_probability(z, y, "isotonic"), Isotonic)
    with pytest.raises(InputError, match="'platt'.*temperature"):
        fit_probability(z, y, "platt")


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_rows_without_a_score_are_counted_and_change_nothing(method):
    z, y = overconfident(100)
    more = fit_probability(np.r_[z, np.nan, np.inf], np.r_[y, 1, 0], method)
    assert more.facts["without_score"] == 2
    assert more.apply(z).tolist() == fit_probability(z, y, method).apply(z).tolist()


WRONG = {
    "no labelled rows": ([], []),
    "all 3 labels are 1.*add": ([1, 2, 3], [1, 1, 1]),
    "all 2 labels are 0": ([1, 2, np.nan], [0, 0, 1]),
    "label of row 1 is nan": ([1, 2, 3], [0, np.nan, 1]),
    "label of row 2 is 7": ([1, 2, 3], [0, 1, 7]),
    "none of 2 labelled rows has a finite score": ([np.nan, np.inf], [0, 1]),
    "3 scores and 2 labels": ([1, 2, 3], [0, 1]),
}


@pytest.mark.parametrize("fit", [fit_probability, fit_temperature, fit_isotonic])
@pytest.mark.parametrize(("told", "rows"), WRONG.items())
def test_rows_that_cannot_be_fitted_are_told(fit, told, rows):
    with pytest.raises(InputError, match=told):
        fit(np.asarray(rows[0], dtype=np.float32), np.asarray(rows[1], dtype=np.float64))


def test_an_error_on_a_test_part_may_be_of_one_class():
    assert errors_on(np.zeros(4), np.ones(4), Temperature(2.0)) == {
        "rows": 4,
        "ece_before": 0.5,
        "ece_after": 0.5,
    }


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=40),
    st.integers(2, 6),
    st.integers(0, 9),
)
def test_folds_part_the_rows_and_no_group_straddles(rows, folds, seed):
    groups, labels = (np.asarray(column) for column in zip(*rows, (91, 1), (92, 0), strict=True))
    fold = group_folds(groups, labels.astype(float), seed=seed, folds=folds)
    assert all(len(set(fold[groups == one])) == 1 for one in groups)
    assert set(fold) == set(range(min(folds, len(set(groups)))))
    assert fold.tolist() == group_folds(groups, labels.astype(float), seed=seed, folds=folds).tolist()


def test_folds_have_like_shares_of_good_rows():
    labels = (np.arange(100) < 10).astype(float)
    fold = group_folds(np.arange(100), labels, seed=3)
    assert np.bincount(fold, weights=labels).tolist() == [2] * 5 and np.bincount(fold).tolist() == [20] * 5


def test_an_honest_error_does_not_believe_labels_that_a_fit_has_seen():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    # Every group has its own score and its own label: a fit that saw the group would know the answer.
    scores = np.repeat(random.normal(size=60), 5)
    labels = np.repeat(random.integers(0, 2, 60), 5).astype(float)
    seen = fit_isotonic(scores, labels)
    believed = expected_calibration_error(seen.apply(scores), labels)
    honest = honest_errors(scores, labels, groups, method="isotonic", seed=0)
    assert believed < 0.02 < 0.08 < honest["ece_after"]


def test_an_honest_error_is_that_of_fits_on_the_other_folds():
    z, y = overconfident(600)
    groups = np.arange(600) // 3
    fold = group_folds(groups, y, seed=7, folds=3)
    after = np.zeros(600)
    for number in range(3):
        after[fold == number] = fit_temperature(z[fold != number], y[fold != number]).apply(z[fold == number])
    errors = honest_errors(z, y, groups, method="temperature", seed=7, folds=3)
    assert errors == {
        "rows": 600,
        "ece_before": pytest.approx(expected_calibration_error(expit(z), y), abs=1e-6),
        "ece_after": pytest.approx(expected_calibration_error(after, y)),
        "method": "temperature",
        "folds": 3,
    }
    assert errors["ece_after"] < errors["ece_before"] / 2


def test_the_method_of_an_honest_error_is_that_of_all_rows():
    z, y = overconfident(1100)  # a fold's training part has fewer than 1,000
    errors = honest_errors(z, y, np.arange(1100), seed=0)
    assert errors == honest_errors(z, y, np.arange(1100), method="isotonic", seed=0)
    assert errors != honest_errors(z, y, np.arange(1100), method="temperature", seed=0)


def test_an_honest_error_takes_ids_of_any_kind_and_leaves_out_rows_without_a_score():
    z, y = overconfident(60)
    names = np.asarray([f"row {n}" for n in range(61)], dtype=object)
    errors = honest_errors(np.r_[np.nan, z], np.r_[1, y], names, seed=0, folds=50)
    assert errors["rows"] == 60 and errors["folds"] == 50


@pytest.mark.parametrize(
    ("told", "groups"),
    [("needs at least 2", [1, 1, 1, 1]), ("by group: all 2 labels", [1, 1, 2, 2]), ("4 scores and 1", [1])],
)
def test_groups_that_cannot_be_folded_are_told(told, groups):
    with pytest.raises(InputError, match=told):
        honest_errors(np.arange(4.0), np.asarray([0, 0, 1, 1]), np.asarray(groups), seed=0)


@given(st.lists(COARSE, min_size=1, max_size=60), COARSE)
def test_percentiles_of_a_small_pool_are_exact(reference, score):
    found = fit_percentiles(np.asarray(reference)).apply(np.asarray([score]))
    assert found[0] == pytest.approx(percentileofscore(reference, score, kind="mean"))


@pytest.mark.parametrize("n", [1002, 1700, 50_000])
@pytest.mark.parametrize("digits", [6, 1, 0])
def test_percentiles_of_a_large_pool_are_close_ties_or_not(n, digits):
    pool = np.random.default_rng(n).normal(size=n).round(digits).astype(np.float32)
    found = fit_percentiles(pool)
    assert len(found.scores) == MOST_QUANTILES
    some = np.r_[pool[:60], np.linspace(-3, 3, 31).astype(np.float32)]
    told = found.apply(some)
    assert told == pytest.approx([percentileofscore(pool, score, kind="mean") for score in some], abs=0.2)
    assert found.apply(np.asarray([pool.min() - 1, pool.max() + 1])).tolist() == [0, 100]


def test_a_score_ties_with_itself_whatever_float_the_pool_was():
    pool = np.asarray([0.1, 0.2, 0.3])
    assert fit_percentiles(pool).apply(pool.astype(np.float32))[1] == 50


def test_percentiles_count_what_has_no_score_and_need_one_that_has():
    found = fit_percentiles(np.asarray([np.nan, 1, np.inf, 0]))
    assert (found.scores, found.facts) == ((0.0, 1.0), {"rows": 2, "without_score": 2})
    with pytest.raises(InputError, match="none of 2 reference rows"):
        fit_percentiles(np.asarray([np.nan, np.nan]))


def test_percentiles_can_be_fitted_without_a_model_library():
    program = "import sys; from scar.training.calibrate import fit_percentiles; fit_percentiles([1.0])\n"
    program += "sys.exit(any(name in sys.modules for name in ('torch', 'sklearn', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

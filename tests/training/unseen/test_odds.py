"""From balanced logits to log odds: Bayes' rule, the temperature before it, and an error that nothing was fitted on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from scar.calibration import expected_calibration_error
from scar.training.unseen.odds import FLATTEST, Odds, fit_odds, shift_of, sigmoid, sign_of


def made(n=4000, share=0.1, informed=1.0, scale=1.0, seed=0):
    """Make balanced logits of a normal model: right where the scale is 1."""
    random = np.random.default_rng(seed)
    seen = random.random(n) < share
    x = random.normal(size=n) + informed * (seen - 0.5)
    return scale * (informed or 1.0) * x, seen, np.arange(n)


def test_a_temperature_of_one_is_bayes_rule():
    balanced, share = np.asarray([0.2, 0.5, 0.9]), 0.1
    expected = balanced * share / (balanced * share + (1 - balanced) * (1 - share))
    odds = Odds(1.0, shift_of(np.arange(10) < 1))
    assert sigmoid(odds.of(logit(balanced))) == pytest.approx(expected)


def test_the_temperature_is_that_of_the_least_log_loss_under_the_true_share():
    logits, seen, groups = made(scale=3.0)
    shift = logit(seen.mean())
    least = minimize_scalar(
        lambda log_t: log_loss(seen, expit(logits / np.exp(log_t) + shift)), bounds=(-3, 3), method="bounded"
    )
    fitted = fit_odds(logits, seen, groups, seed=0)
    assert fitted.odds.temperature == pytest.approx(np.exp(least.x), rel=1e-3)
    assert fitted.odds.temperature == pytest.approx(3, rel=0.1)
    assert fitted.ece_after < fitted.ece_before / 2


def test_a_classifier_that_knows_nothing_says_the_share():
    logits, seen, groups = made(share=0.02, informed=0.0, scale=4.0)
    fitted = fit_odds(logits, seen, groups, seed=0)
    assert fitted.odds.temperature > 20
    p = sigmoid(fitted.odds.of(logits))
    assert p == pytest.approx(seen.mean(), abs=0.02) and np.median(p) == pytest.approx(seen.mean(), rel=0.05)


def test_scores_that_say_the_contrary_are_no_flatter_than_rounding_allows():
    logits, seen, groups = made(share=0.001, n=20_000)
    fitted = fit_odds(-logits, seen, groups, seed=0)
    assert fitted.odds.temperature == pytest.approx(FLATTEST * np.sqrt((logits**2).mean()), rel=1e-3)


def test_the_error_is_measured_on_groups_that_the_temperature_was_not_fitted_on():
    """Copies of a row share a group: the error of a fit that saw them would be smaller."""
    logits, seen, _ = made(30, share=0.5, scale=20.0)
    logits, seen, groups = (np.repeat(each, 5) for each in (logits, seen, np.arange(30)))
    fitted = fit_odds(logits, seen, groups, seed=0)
    own = expected_calibration_error(sigmoid(fitted.odds.of(logits)), seen)
    assert fitted.ece_after != own
    assert fitted == fit_odds(logits, seen, groups, seed=0)
    assert fitted.ece_after != fit_odds(logits, seen, np.arange(150), seed=0).ece_after


@pytest.mark.parametrize("seen", [[True] * 3, [False] * 3])
def test_one_side_alone_has_no_odds(seen):
    with pytest.raises(ValueError, match="share of seen rows"):
        shift_of(np.asarray(seen))


@given(st.lists(st.floats(-1e4, 1e4), min_size=1))
def test_the_probability_is_the_logistic_function(odds):
    assert sigmoid(np.asarray(odds)) == pytest.approx(expit(odds))


def test_higher_is_better_either_way():
    assert (sign_of("novel") * np.asarray([-3.0, 2.0])).argmax() == 0
    assert (sign_of("similar") * np.asarray([-3.0, 2.0])).argmax() == 1

"""The figures of a gate and what must hold in each precision."""

import numpy as np
import pytest
from scipy import stats

from scar.serving.gates import FP32_LIMIT, compare, is_trained
from scar.serving.gates.figures import overlap, spread
from scar.serving.gates.limits import REDUCED, told, unfit, verdict

ROWS = 2000
REFERENCE = np.random.default_rng(0).normal(3, 2, ROWS).astype(np.float32)
SIGMA = float(REFERENCE.astype(np.float64).std())
SAME = compare(REFERENCE, [REFERENCE], SIGMA)


def judged(precision, other):
    return verdict(precision, compare(REFERENCE, [other], SIGMA), SAME)


def moved(rows, by):
    """Give the scores with some rows moved by so many sigma."""
    other = REFERENCE.astype(np.float64)
    other[rows] += by * SIGMA
    return other


def noise(by):
    return REFERENCE + by * SIGMA * np.random.default_rng(1).normal(size=ROWS)


def test_equal_scores_pass_every_gate_without_a_difference():
    assert (SAME.rows, SAME.max_difference, SAME.rms, SAME.within) == (ROWS, 0, 0, 1)
    assert (SAME.spearman, SAME.top_10, SAME.top_1) == (pytest.approx(1), 1, 1)
    assert [verdict(precision, SAME, SAME) for precision in ("fp32", *REDUCED)] == [""] * 4


@pytest.mark.parametrize("shift, passes", [(0.5, True), (2, False), (-2, False)])
def test_one_row_may_differ_in_fp32_by_no_more_than_the_limit(shift, passes):
    other = moved(77, shift * FP32_LIMIT)
    figures = compare(REFERENCE, [other], SIGMA)
    assert (judged("fp32", other) == "") is passes
    assert figures.max_difference == pytest.approx(abs(shift) * FP32_LIMIT * SIGMA)
    assert figures.rms == pytest.approx(figures.max_difference / np.sqrt(ROWS))


def test_a_difference_in_a_later_run_of_the_first_rows_counts():
    assert "differ" in verdict("fp32", compare(REFERENCE, [REFERENCE, REFERENCE[:10] + 1], SIGMA), SAME)


def test_the_limits_are_those_of_the_design():
    assert FP32_LIMIT == 1e-4
    near = REDUCED["bf16"]
    assert near == REDUCED["fp16"]
    assert (near.rms, near.within, near.spearman, near.top_10, near.top_1) == (0.05, 0.999, 0.999, 0.97, 0.9)
    weights = REDUCED["int8"]
    assert (weights.rms, weights.within) == (None, None)
    assert (weights.spearman, weights.top_10, weights.top_1) == (0.995, 0.97, 0.9)
    assert "2,000 rows of a trained ranker" in told("int8") and "99.9% of rows <= 0.1 sigma" in told("bf16")


def test_two_rows_of_two_thousand_may_be_far_in_bf16_and_a_third_not():
    assert judged("bf16", moved([5, 6], 0.2)) == ""
    assert "share of rows within 0.1 sigma is 0.9985" in judged("bf16", moved([5, 6, 7], 0.2))
    assert "share" not in judged("int8", moved([5, 6, 7], 0.2))


def test_a_shift_of_all_rows_breaks_the_rms_of_bf16_and_no_ranking():
    assert judged("bf16", moved(slice(None), 0.06)).startswith("rms is 0.06 sigma, allowed is 0.05")
    assert judged("int8", moved(slice(None), 0.06)) == ""


def test_noise_that_mixes_the_best_rows_fails_by_the_overlap():
    other = noise(0.3)
    assert stats.spearmanr(REFERENCE, other).statistic == pytest.approx(
        compare(REFERENCE, [other], SIGMA).spearman
    )
    told_of = judged("int8", other)
    assert "Spearman is" in told_of and "top-10 % overlap is" in told_of


def test_the_best_hundredth_counts_though_all_else_is_right():
    # Three of the best twenty fall behind: a rank correlation of all rows does not feel it.
    best = np.argsort(-REFERENCE, kind="stable")
    other = REFERENCE.copy()
    other[best[:3]] = REFERENCE[best[25]]
    assert judged("int8", other) == "top-1 % overlap is 0.85, at least 0.9 is needed"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", ["fp32", *REDUCED])
def test_a_score_that_is_not_finite_passes_nothing(value, precision):
    other = REFERENCE.copy()
    other[3] = value
    assert judged(precision, other) == "it gives scores that are not finite"
    assert (
        verdict(precision, SAME, compare(REFERENCE, [other], SIGMA)) == "it gives scores that are not finite"
    )
    assert verdict(precision, compare(other, [other], spread(other)), SAME)


@pytest.mark.parametrize("sigma", [0.0, np.nan])
@pytest.mark.parametrize("precision", ["fp32", *REDUCED])
def test_a_constant_reference_passes_nothing(sigma, precision):
    constant = np.ones(5, dtype=np.float32)
    figures = compare(constant, [constant], sigma)
    assert "reference" in verdict(precision, figures, figures)


def test_ties_at_the_cut_go_to_the_earlier_row_on_both_sides():
    scores = np.asarray([1.0, 2, 2, 2, 0, 0, 0, 0, 0, 0])
    assert overlap(scores, scores, 0.1) == 1
    assert overlap(scores, np.asarray([1.0, 1.9, 2, 2, 0, 0, 0, 0, 0, 0]), 0.1) == 0
    assert overlap(scores, np.asarray([1.0, 1.9, 2, 2, 0, 0, 0, 0, 0, 0]), 0.2) == 0.5
    assert overlap(scores, -scores, 0.5) == pytest.approx(0.2)


def test_equal_scores_have_no_spread_though_their_deviation_is_a_rounding_error():
    assert spread(np.full(7, 0.1, np.float32) + np.asarray([0, 1e-9] * 3 + [0])) == 0
    assert spread(np.asarray([1.0, 3.0])) == 1
    assert np.isnan(spread(np.asarray([1.0, np.inf])))


def test_fp32_is_judged_on_any_rows_and_the_rest_on_two_thousand_of_a_trained_ranker():
    assert unfit("fp32", 2, trained=False) == ""
    for precision in REDUCED:
        assert unfit(precision, 2000, trained=True) == ""
        assert "1,999" in unfit(precision, 1999, trained=True)
        assert "untrained" in unfit(precision, 2000, trained=False)


def test_a_ranker_of_no_steps_is_untrained_and_an_import_of_unknown_steps_is_not():
    assert not is_trained({"trained_steps": 0})
    assert is_trained({"trained_steps": 7}) and is_trained({"trained_steps": None})

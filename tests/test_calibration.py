"""Calibrations: what scores mean, against scipy, numpy and brute force."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import percentileofscore

from scar.calibration import (
    MOST_QUANTILES,
    Calibration,
    Isotonic,
    LengthTrend,
    Percentiles,
    Temperature,
    expected_calibration_error,
    fit_length_trend,
)
from scar.errors import InputError

ANY = st.floats(width=32, allow_nan=False)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
COARSE = st.integers(-6, 6).map(lambda n: n / 2)
SHARES = st.floats(0, 1)
TEMPERATURES = st.floats(1e-30, 1e30).map(Temperature)


@st.composite
def isotonics(draw):
    x = sorted(draw(st.lists(FINITE, min_size=1, max_size=8, unique=True)))
    y = sorted(draw(st.lists(SHARES, min_size=len(x), max_size=len(x))))
    return Isotonic(tuple(x), tuple(y))


PERCENTILES = st.lists(FINITE, min_size=1, max_size=9).map(lambda scores: Percentiles(tuple(sorted(scores))))
PARTS = st.one_of(TEMPERATURES, isotonics(), PERCENTILES)


@given(PARTS, st.lists(ANY, min_size=1, max_size=20))
def test_the_order_is_kept(part, scores):
    given_ = np.sort(np.asarray(scores, dtype=np.float32))
    assert (np.diff(part.apply(given_)) >= 0).all()


@given(isotonics(), st.integers(0, 7), st.integers(-3, 3))
def test_the_order_is_kept_around_a_knot_to_the_last_bit(curve, knot, steps):
    at = np.float64(curve.x[knot % len(curve.x)])
    near = [at]
    for _ in range(4):
        near = [np.nextafter(near[0], -np.inf), *near, np.nextafter(near[-1], np.inf)]
    assert (np.diff(curve.apply(np.asarray(near))) >= 0).all()


@given(PARTS, st.lists(st.floats(width=32), max_size=20))
def test_nan_stays_nan_and_all_else_is_a_number_in_range(part, scores):
    told = part.apply(np.asarray(scores, dtype=np.float32))
    most = 100 if isinstance(part, Percentiles) else 1
    assert told.dtype == np.float32 and told.shape == (len(scores),)
    assert np.isnan(told).tolist() == np.isnan(scores).tolist()
    assert ((told >= 0) & (told <= most))[~np.isnan(told)].all()


@given(PARTS, st.lists(ANY, min_size=1, max_size=20))
def test_a_row_alone_gets_what_it_gets_among_others(part, scores):
    together = part.apply(np.asarray(scores, dtype=np.float32))
    alone = [part.apply(np.asarray([score], dtype=np.float32))[0] for score in scores]
    assert together.tolist() == alone


@given(st.floats(0.01, 100), st.lists(st.floats(-1e4, 1e4), min_size=1))
def test_a_temperature_is_the_sigmoid_of_the_score_over_it(temperature, scores):
    told = Temperature(temperature).apply(np.asarray(scores))
    assert told == pytest.approx(expit(np.asarray(scores) / temperature), rel=1e-6, abs=1e-37)


def test_an_isotonic_curve_is_straight_between_knots_and_flat_beyond_them():
    curve = Isotonic((-1.0, 0.0, 2.0), (0.1, 0.5, 0.9))
    told = curve.apply(np.asarray([-np.inf, -9, -1, -0.5, 0, 1, 2, 9, np.inf]))
    assert told == pytest.approx([0.1, 0.1, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9, 0.9])


def test_a_piece_too_steep_for_a_float_stays_below_its_upper_knot():
    curve = Isotonic((0.0, 1e-310, 1.0), (0.1, 0.6, 0.7))
    assert curve.apply(np.asarray([0.0, 5e-311, 1e-310])).tolist() == np.float32([0.1, 0.6, 0.6]).tolist()


@given(st.lists(COARSE, min_size=1, max_size=30), COARSE)
def test_percentiles_are_scipys_by_mid_rank(reference, score):
    told = Percentiles(tuple(sorted(reference))).apply(np.asarray([score]))
    assert told[0] == pytest.approx(percentileofscore(reference, score, kind="mean"))


def test_a_score_below_all_beats_nobody_and_one_above_all_everybody():
    told = Percentiles((1.0, 2.0, 2.0, 3.0)).apply(np.asarray([0.9, 1.0, 2.0, 3.0, 3.1, -np.inf, np.inf]))
    assert told.tolist() == [0, 12.5, 50, 87.5, 100, 0, 100]


@given(
    st.lists(st.tuples(FINITE.filter(lambda x: abs(x) < 1e6), st.integers(0, 5000)), min_size=2, max_size=30)
)
def test_residuals_do_not_go_with_length_on_the_fitting_rows(rows):
    scores, tokens = (np.asarray(column) for column in zip(*rows, strict=True))
    left = fit_length_trend(scores, tokens).apply(scores, tokens).astype(np.float64)
    size = np.abs(scores).max() + 1
    x = np.log1p(tokens)
    assert abs(left.mean()) <= 1e-5 * size
    assert abs((left - left.mean()) @ (x - x.mean())) <= 1e-5 * size * len(x) * 10


def test_a_trend_is_the_least_squares_line_of_numpy():
    random = np.random.default_rng(0)
    tokens = random.integers(1, 900, 200)
    scores = (0.7 * np.log1p(tokens) - 2 + random.normal(size=200)).astype(np.float32)
    slope, intercept = np.polyfit(np.log1p(tokens), scores.astype(np.float64), 1)
    trend = fit_length_trend(scores, tokens)
    assert (trend.slope, trend.intercept) == pytest.approx((slope, intercept))
    told = trend.apply(scores, tokens)
    assert told.dtype == np.float32
    assert told == pytest.approx(scores - (intercept + slope * np.log1p(tokens)), abs=1e-5)


def test_equal_lengths_have_no_slope():
    trend = fit_length_trend(np.asarray([1.0, 2.0, 6.0]), np.asarray([7, 7, 7]))
    assert (trend.slope, trend.intercept) == (0.0, 3.0)


def test_rows_without_a_score_do_not_bend_the_trend():
    scores, tokens = np.asarray([1.0, 2.0, 4.0]), np.asarray([1, 5, 9])
    more = fit_length_trend(np.r_[scores, np.nan, np.inf], np.r_[tokens, 900, 1])
    assert more == fit_length_trend(scores, tokens)
    assert np.isnan(more.apply(np.asarray([np.nan]), np.asarray([3]))).all()


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, np.nan]])
def test_a_trend_needs_two_rows(scores):
    with pytest.raises(InputError, match="at least 2"):
        fit_length_trend(np.asarray(scores), np.arange(len(scores)))


def test_a_trend_needs_a_length_for_each_score():
    with pytest.raises(InputError, match="3 scores and 2"):
        fit_length_trend(np.zeros(3), np.zeros(2, dtype=int))


def brute_error(p, y, bins):
    """Rank, bin and average row by row."""
    groups = {}
    for one, label in zip(p, y, strict=True):
        middle = sum(other < one for other in p) + sum(other == one for other in p) / 2
        groups.setdefault(int(middle * bins / len(p)), []).append((one, label))
    gaps = [
        (len(rows), abs(sum(r[0] for r in rows) - sum(r[1] for r in rows)) / len(rows))
        for rows in groups.values()
    ]
    return sum(n * gap for n, gap in gaps) / len(p)


@given(
    st.lists(st.tuples(st.one_of(SHARES, st.sampled_from([0.25, 0.5])), SHARES), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_the_calibration_error_is_that_of_brute_force(rows, bins):
    p, y = zip(*rows, strict=True)
    assert expected_calibration_error(p, y, bins) == pytest.approx(brute_error(p, y, bins))


def test_without_ties_the_bins_are_equal_parts_of_the_sorted_rows():
    random = np.random.default_rng(0)
    p = random.permutation(np.linspace(0, 1, 150))
    y = random.random(150)
    order = np.argsort(p)
    expected = np.mean([abs(np.mean(p[part]) - np.mean(y[part])) for part in np.split(order, 15)])
    assert expected_calibration_error(p, y) == pytest.approx(expected)


@given(st.lists(st.tuples(COARSE.map(lambda n: (n + 3) / 6), SHARES), min_size=1, max_size=20), st.randoms())
def test_the_calibration_error_does_not_depend_on_the_order_of_rows(rows, random):
    shuffled = random.sample(rows, len(rows))
    before, after = (expected_calibration_error(*zip(*some, strict=True), 4) for some in (rows, shuffled))
    assert before == pytest.approx(after)


def test_the_calibration_error_of_no_rows_is_not_a_number():
    assert np.isnan(expected_calibration_error([], [])) and np.isnan(
        expected_calibration_error([np.nan], [1])
    )


def test_a_row_without_a_probability_does_not_count():
    assert expected_calibration_error([0.5, np.nan], [1, 0]) == 0.5


FACTS = st.dictionaries(
    st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), SHARES, st.none()), max_size=3
)


@given(
    st.one_of(st.none(), TEMPERATURES, isotonics()),
    st.one_of(st.none(), PERCENTILES),
    st.one_of(st.none(), st.builds(LengthTrend, FINITE, FINITE)),
    FACTS,
)
def test_a_calibration_goes_through_json_unchanged(probability, percentile, length, facts):
    parts = [
        part if part is None else type(part)(**{**vars(part), "facts": facts})
        for part in (probability, percentile, length)
    ]
    whole = Calibration(*parts)
    assert Calibration.from_config(json.loads(json.dumps(whole.to_config()))) == whole


def test_no_calibration_is_null_missing_or_empty():
    assert Calibration.from_config(None) == Calibration.from_config({}) == Calibration()
    assert Calibration.from_config({"probability": None}).to_config() == {}


def test_the_columns_are_those_of_the_parts_that_there_are():
    scores = np.asarray([0.0, np.nan], dtype=np.float32)
    whole = Calibration(Temperature(2.0), Percentiles((-1.0, 1.0)), LengthTrend(1.0, 5.0)).columns(scores)
    assert {name: column[0] for name, column in whole.items()} == {"p": 0.5, "percentile": 50.0}
    assert all(np.isnan(column[1]) and column.dtype == np.float32 for column in whole.values())
    assert Calibration(percentile=Percentiles((0.0,))).columns(scores).keys() == {"percentile"}
    assert Calibration().columns(scores) == {}


WRONG = {
    "of type list": [],
    "no part 'probabilty'": {"probabilty": {}},
    "probability: is of type int": {"probability": 3},
    "method must be": {"probability": {"temperature": 1.0}},
    "method must be temperature or isotonic, got \\['x'\\]": {"probability": {"method": ["x"]}},
    "missing .* 'temperature'": {"probability": {"method": "temperature"}},
    "above 0, got 0": {"probability": {"method": "temperature", "temperature": 0}},
    "above 0, got nan": {"probability": {"method": "temperature", "temperature": float("nan")}},
    "above 0, got '2'": {"probability": {"method": "temperature", "temperature": "2"}},
    "above 0, got True": {"probability": {"method": "temperature", "temperature": True}},
    "above 0, got 1000": {"probability": {"method": "temperature", "temperature": 10**400}},
    "unexpected keyword argument 'slope'": {
        "probability": {"method": "temperature", "temperature": 1, "slope": 1}
    },
    "facts is of type list": {"length": {"slope": 1, "intercept": 1, "facts": []}},
    "'y' is missing": {"probability": {"method": "isotonic", "x": [1.0]}},
    "x is of type str": {"probability": {"method": "isotonic", "x": "12", "y": [0.5]}},
    "x\\[1\\] must be a finite number, got inf": {
        "probability": {"method": "isotonic", "x": [0, float("inf")], "y": [0, 1]}
    },
    "x\\[0\\] must be a finite number, got \\[1\\]": {
        "probability": {"method": "isotonic", "x": [[1]], "y": [[1]]}
    },
    "x has 2 knots and y 1": {"probability": {"method": "isotonic", "x": [0, 1], "y": [0]}},
    "x\\[2\\] must be above": {"probability": {"method": "isotonic", "x": [0, 1, 1], "y": [0, 1, 1]}},
    "y\\[1\\] must not be below": {
        "probability": {"method": "isotonic", "x": [0, 1, 2], "y": [0.2, 0.1, 0.3]}
    },
    "y goes from 0.5 to 1.5": {"probability": {"method": "isotonic", "x": [0, 1], "y": [0.5, 1.5]}},
    "x is empty": {"probability": {"method": "isotonic", "x": [], "y": []}},
    "scores is empty": {"percentile": {"scores": []}},
    "scores\\[1\\] must not be below": {"percentile": {"scores": [2, 1]}},
    "scores has 1002 values": {"percentile": {"scores": [0.0] * (MOST_QUANTILES + 1)}},
    "'scores' is missing": {"percentile": {}},
    "slope must be a finite number, got None": {"length": {"slope": None, "intercept": 0}},
    "intercept must be a finite number, got -inf": {"length": {"slope": 0, "intercept": -float("inf")}},
}


@pytest.mark.parametrize(("told", "value"), WRONG.items())
def test_a_damaged_calibration_is_told_by_its_place_in_one_line(told, value):
    with pytest.raises(InputError, match=rf"ranker.json: calibration.*{told}.*scar calibrate") as caught:
        Calibration.from_config(value)
    assert "\n" not in str(caught.value) and "__init__" not in str(caught.value)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "probability",
                    "percentile",
                    "length",
                    "method",
                    "temperature",
                    "x",
                    "y",
                    "scores",
                    "slope",
                    "facts",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_calibration_or_an_input_error(value):
    try:
        whole = Calibration.from_config(value)
    except InputError:
        return
    assert Calibration.from_config(whole.to_config()) == whole

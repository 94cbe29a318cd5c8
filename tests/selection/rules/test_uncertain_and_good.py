"""Uncertain and good (systems 2.6) is a chain of two rules: what is unsure in the better half, and good enough."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.rules import Above, Quantile
from scar.selection.scored import Scored

ROWS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 3, 5]), st.sampled_from([0.1, 0.4, 0.6, 0.9])),
    min_size=1,
    max_size=30,
)


def pool(unsure, good):
    return Scored.of_columns(unsure=np.float32(unsure), good=np.float32(good), by="unsure")


def kept(rule, rows):
    return set(rule.select(rows).rows.tolist())


def both(a, q):
    """The quantile is taken of the whole pool: it stands first, so that no other rule moves it."""
    return Quantile(a, by="unsure") + Above(q, by="good")


@given(ROWS, st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.sampled_from([0.2, 0.5, 0.8]))
def test_what_is_kept_passes_both_filters_alone(given_rows, a, q):
    rows = pool(*zip(*given_rows, strict=True))
    alone = kept(Quantile(a, by="unsure"), rows) & kept(Above(q, by="good"), rows)
    assert kept(both(a, q), rows) == alone


@given(ROWS, st.sampled_from([0.2, 0.5]), st.sampled_from([0.3, 0.5]))
def test_a_higher_threshold_never_adds_a_row(given_rows, a, q):
    rows = pool(*zip(*given_rows, strict=True))
    assert kept(both(a + 0.3, q), rows) <= kept(both(a, q), rows)
    assert kept(both(a, q + 0.3), rows) <= kept(both(a, q), rows)


def test_noise_that_is_unsure_and_bad_is_never_kept():
    draw = np.random.default_rng(0)
    unsure, good = draw.normal(size=200), draw.uniform(0.5, 1, size=200)
    noise = draw.choice(200, 40, replace=False)
    unsure[noise] += 5
    good[noise] = 0.1
    rows = pool(unsure, good)
    made = both(0.5, 0.5).select(rows)
    assert not set(noise) & set(made.rows) and len(made.rows) > 40
    # The most unsure comes first, and a lower quantile is what brings more.
    assert (np.diff(made.scores) <= 0).all()
    assert kept(both(0.5, 0.5), rows) < kept(both(0.2, 0.5), rows)


@given(ROWS)
def test_good_first_takes_the_quantile_among_the_good(given_rows):
    unsure, good = zip(*given_rows, strict=True)
    rows = pool(unsure, good)
    fine = [n for n, value in enumerate(good) if np.float32(value) >= 0.5]
    least = np.quantile([unsure[n] for n in fine], 0.5) if fine else 0
    made = kept(Above(0.5, by="good") + Quantile(0.5, by="unsure"), rows)
    assert made == {n for n in fine if unsure[n] >= least}

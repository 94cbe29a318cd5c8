"""Facility location: the plain greedy loop row for row, and its bound against the best choice there is."""

from itertools import combinations, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.diversity import facility as module
from scar.selection.diversity.exact import on_grid
from scar.selection.diversity.facility import Facility, locate


def unit(seed, n, d=4, mean=0.3):
    """Draw points, every third of them a copy of another."""
    drawn = np.random.default_rng(seed).normal(size=(n, d)) + mean
    drawn[::3] = drawn[n // 2]
    return on_grid(drawn)


def value(similarity, chosen):
    return np.maximum(similarity[:, list(chosen)], 0).max(axis=1).sum() if len(chosen) else 0.0


def plain(similarity, k):
    """Try every row, each time anew; the first of the best is chosen."""
    chosen = []
    for _ in range(min(k, len(similarity))):
        rest = [row for row in range(len(similarity)) if row not in chosen]
        chosen.append(max(rest, key=lambda row: (value(similarity, [*chosen, row]), -row)))
    return chosen


def similarity(points):
    exact = points.astype(np.float64)
    return exact @ exact.T


def greedy(points, k=None, fits=lambda row: True):
    facility = Facility(points)
    return list(islice(locate(facility, fits), k)), facility


@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from([0.0, 0.3, 2.0]))
def test_the_same_rows_as_the_plain_loop(seed, n, mean):
    points = unit(seed, n, mean=mean)
    assert greedy(points)[0] == plain(similarity(points), n)


def test_more_rows_than_are_computed_together(monkeypatch):
    points = unit(5, 60)
    expected = plain(similarity(points), 60)
    for fewest, most in ((1, 1), (2, 5), (512, 512)):
        monkeypatch.setattr(module, "FEWEST", fewest)
        monkeypatch.setattr(module, "MOST", most)
        assert greedy(points)[0] == expected


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 3))
def test_at_least_1_less_1_over_e_of_the_best_choice(seed, n, k):
    points = unit(seed, n)
    exact = similarity(points)
    best = max(value(exact, chosen) for chosen in combinations(range(n), min(k, n)))
    chosen, facility = greedy(points, k)
    assert facility.value == pytest.approx(value(exact, chosen))
    assert facility.value >= (1 - 1 / np.e) * best - 1e-9


def test_the_value_never_falls_and_gains_never_grow():
    points = unit(2, 40)
    facility = Facility(points)
    values = [facility.value for _ in locate(facility, lambda row: True)]
    steps = np.diff([0, *values])
    assert (steps >= 0).all() and (np.diff(steps) <= 1e-9).all()


def test_each_row_is_served_by_the_nearest_chosen_one():
    points = unit(3, 40)
    chosen, facility = greedy(points, 6)
    nearest = similarity(points)[:, chosen]
    positive = nearest.max(axis=1) > 0
    assert facility.server[positive].tolist() == np.array(chosen)[nearest.argmax(axis=1)][positive].tolist()
    assert (facility.server[~positive] == -1).all()


def test_lazily_few_gains_are_computed_again(monkeypatch):
    counted = []
    gains = Facility.gains
    monkeypatch.setattr(Facility, "gains", lambda self, rows: counted.append(len(rows)) or gains(self, rows))
    greedy(unit(4, 400, d=8), 40)
    assert sum(counted) < 0.4 * 400 * 40


def test_what_does_not_fit_serves_nobody():
    points = unit(6, 20)
    banned = greedy(points, 1)[0][0]
    chosen, facility = greedy(points, fits=lambda row: row != banned)
    assert banned not in chosen and len(chosen) == 19 and banned not in facility.server


def test_copies_of_one_row_and_no_row():
    assert greedy(on_grid(np.ones((5, 3))))[0] == [0, 1, 2, 3, 4]
    assert greedy(on_grid(np.ones((0, 3))))[0] == []

"""GraphCut bins: the reference values, and the same as the plain loop over a matrix of similarities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.diversity import graph_cut
from scar.selection.diversity.exact import on_grid
from scar.selection.diversity.graph_cut import bin_sizes, bins_of, gains, pick

NONE = np.zeros(0, dtype=np.int64)
REFERENCE = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])


def unit(seed, n, d=6, mean=0.5):
    """Draw points that lean to one side, as embeddings do, every fifth of them a copy of another."""
    drawn = np.random.default_rng(seed).normal(size=(n, d)) + mean
    drawn[::5] = drawn[n // 2]
    return on_grid(drawn)


def plain(similarity, count, lam=1.0):
    """Pick from a matrix, each gain added up anew."""
    picked = []
    for _ in range(count):
        rest = [row for row in range(len(similarity)) if row not in picked]
        gain = {row: lam * similarity[row].sum() - 2 * similarity[row, picked].sum() for row in rest}
        picked.append(max(rest, key=lambda row: (gain[row], -row)))
    return picked


def plain_bins(similarity, bins):
    """Bin by bin, all of them greedily, the last one too."""
    made, left = np.full(len(similarity), -1), list(range(len(similarity)))
    for number, size in enumerate(bin_sizes(len(left), bins)):
        taken = [left[row] for row in plain(similarity[np.ix_(left, left)], size)]
        made[taken] = number
        left = [row for row in left if row not in taken]
    return made


def test_the_reference_values():
    points = on_grid(np.linalg.cholesky(REFERENCE))
    assert gains(points, NONE) == pytest.approx([2.0, 2.1, 1.3], abs=2e-3)
    assert gains(points, np.array([1]))[[0, 2]] == pytest.approx([0.2, 0.9], abs=2e-3)
    assert pick(points, 2).tolist() == [1, 2] == plain(REFERENCE, 2)


@pytest.mark.parametrize("candidates", [1, 3, 1024])
@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("mean", [0.0, 0.7])
def test_the_same_rows_as_the_plain_loop(candidates, lam, mean, monkeypatch):
    monkeypatch.setattr(graph_cut, "CANDIDATES", candidates)
    for seed in range(4):
        points = unit(seed, 40, mean=mean)
        exact = points.astype(np.float64)
        assert pick(points, 40, lam).tolist() == plain(exact @ exact.T, 40, lam)


@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(1, 30))
def test_bins_cover_all_rows_evenly_and_are_those_of_the_plain_loop(seed, n, bins):
    points = unit(seed, n)
    exact = points.astype(np.float64)
    made = bins_of(points, bins)
    assert np.bincount(made, minlength=bins).tolist() == bin_sizes(n, bins)
    assert made.tolist() == plain_bins(exact @ exact.T, bins).tolist()


def test_sizes_lose_no_remainder():
    assert bin_sizes(11, 4) == [3, 3, 3, 2]
    assert bin_sizes(2, 4) == [1, 1, 0, 0]
    assert bin_sizes(0, 2) == [0, 0]


def test_copies_of_one_row_and_no_row():
    points = on_grid(np.ones((30, 4)))
    assert pick(points, 30).tolist() == list(range(30))
    assert bins_of(points, 3).tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert bins_of(points[:0], 3).tolist() == []


def test_shortcuts_change_nothing_on_more_rows(monkeypatch):
    points = unit(1, 1500, d=24, mean=0.2)
    quick = pick(points, 300)
    monkeypatch.setattr(graph_cut, "CANDIDATES", 7)
    assert pick(points, 300).tolist() == quick.tolist()

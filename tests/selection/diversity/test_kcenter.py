"""Greedy k-center against the definition, its guarantee by brute force, and its edges."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.diversity import kcenter
from scar.selection.diversity.kcenter import Coverage, farthest_first
from scar.selection.diversity.outliers import outliers
from tests.selection.embedded import families


def cover(rows, seeds, budget, *, costs=None, **settings):
    coverage = Coverage(np.asarray(rows, dtype=np.float32))
    coverage.add(np.asarray(seeds))
    costs = np.ones(len(rows), dtype=np.int64) if costs is None else costs
    return farthest_first(coverage, costs, budget, **settings), coverage


def naive(rows, seeds, budget):
    """Compare every row with every centre, at every step."""
    rows = np.asarray(rows, dtype=np.float64)
    apart = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    centres = list(seeds)
    while len(centres) < budget + len(seeds):
        squared = apart[:, centres].min(axis=1)
        at = int(squared.argmax())
        if squared[at] == 0:
            break
        centres.append(at)
    squared = apart[:, centres].min(axis=1)
    return centres[len(seeds) :], float(np.sqrt(squared.max()))


def test_the_reference_points():
    added, coverage = cover([[0], [1], [2], [10]], [0], 2)
    assert (added, coverage.radius()) == ([3, 2], 1.0)
    assert coverage.centre.tolist() == [0, 0, 2, 3]  # 1 is as near to 0 as to 2, and 0 was first
    coverage = Coverage(np.array([[0], [1], [2]], dtype=np.float32))
    coverage.add(np.array([2, 0]))
    assert coverage.centre.tolist() == [0, 2, 2]


@pytest.mark.parametrize("farthest", [1, 2, 9, 1024])
@pytest.mark.parametrize(("n", "d", "k"), [(300, 2, 60), (200, 2, 199), (500, 24, 200)])
def test_it_equals_the_naive_walk_whatever_the_batches(farthest, n, d, k, monkeypatch):
    monkeypatch.setattr(kcenter, "_FARTHEST", farthest)
    rows = families(n, d, dtype=np.float16).astype(np.float32)
    added, coverage = cover(rows, [5, 9], k)
    assert (added, coverage.radius()) == naive(rows, [5, 9], k)


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=10), st.integers(1, 3)
)
def test_the_radius_is_at_most_twice_the_least(points, k):
    rows = np.array(points, dtype=np.float64)
    _, coverage = cover(rows, [0], k - 1)
    apart = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(axis=2))
    least = min(
        apart[:, list(some)].min(axis=1).max()
        for some in itertools.combinations(range(len(rows)), min(k, len(rows)))
    )
    assert coverage.radius() <= 2 * least + 1e-9


def test_the_radius_never_grows_with_k():
    rows = families(400, 8, dtype=np.float32)
    radii = [cover(rows, [0], k)[1].radius() for k in range(0, 60, 3)]
    assert radii == sorted(radii, reverse=True) and radii[-1] < radii[0]


def test_copies_are_never_added_and_end_it():
    rows = np.repeat(families(30, 4, dtype=np.float32), 3, axis=0)
    distinct = len(np.unique(rows, axis=0))
    added, coverage = cover(rows, [0], 80)
    assert len(added) == distinct - 1 == len(np.unique(rows[added], axis=0))
    assert coverage.radius() == 0
    assert cover(np.ones((5, 3)), [0], 4)[0] == []


def test_it_stops_at_a_radius_and_not_before():
    rows = families(300, 3, dtype=np.float32)
    added, coverage = cover(rows, [0], 300, radius=0.5)
    assert coverage.radius() <= 0.5 < cover(rows, [0], len(added) - 1)[1].radius()


def test_the_odd_rows_are_those_far_from_a_sample_and_copies_do_not_vouch_for_each_other():
    rows = np.zeros((3000, 8), dtype=np.float32)
    rows[:, :4] = families(3000, 4)
    rows[[5, 6, 900, 2999], [4, 4, 5, 6]] = 1
    rows[[5, 6, 900, 2999], :4] = 0
    for seed in range(3):
        assert np.flatnonzero(outliers(rows, 4, seed)).tolist() == [5, 6, 900, 2999]
    assert not outliers(rows, 0, 0).any() and outliers(rows[:3], 3, 0).all()


def test_rows_that_cannot_be_paid_are_passed_over():
    rows, costs = np.array([[0.0], [10], [9], [5], [1]]), np.array([1, 50, 3, 2, 1])
    assert cover(rows, [0], 6, costs=costs)[0] == [2, 3, 4]
    assert cover(rows, [0], 4, costs=costs)[0] == [2, 4]  # 5 is farther, and costs 2 where 1 is left
    assert cover(rows, [0], 0, costs=costs)[0] == []

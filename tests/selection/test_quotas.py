"""Quotas: in proportion, within what there is, nothing lost."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.quotas import quotas


def exact(weights, capacity, total):
    """Fill by fractions: cap what overshoots, share the rest again; then largest remainders. No numpy."""
    total = min(total, sum(capacity))
    open_ = [g for g in range(len(weights)) if capacity[g] and weights[g]]
    share = {g: Fraction(0) for g in range(len(weights))}
    left = Fraction(min(total, sum(capacity[g] for g in open_)))
    while open_:
        mass = sum(Fraction(weights[g]) for g in open_)
        over = [g for g in open_ if left * Fraction(weights[g]) / mass >= capacity[g]]
        for g in over or open_:
            share[g] = Fraction(capacity[g]) if over else left * Fraction(weights[g]) / mass
        if not over:
            break
        left -= sum(capacity[g] for g in over)
        open_ = [g for g in open_ if g not in over]
    whole = [int(share[g]) for g in range(len(weights))]
    missing = int(sum(share.values())) - sum(whole)
    for g in sorted(share, key=lambda g: (whole[g] - share[g], g))[:missing]:
        whole[g] += 1
    rest = total - sum(whole)
    empty = [g for g in range(len(weights)) if not weights[g]]
    if rest and empty:
        more = exact([1] * len(empty), [capacity[g] for g in empty], rest)
        for g, n in zip(empty, more, strict=True):
            whole[g] += n
    return whole


def test_proportions_by_largest_remainder():
    # Shares 4.7, 3.0, 2.3 of 10: the .7 is rounded up.
    assert quotas([47, 30, 23], [100] * 3, 10).tolist() == [5, 3, 2]


def test_ties_go_to_the_smaller_group():
    assert quotas([1, 1, 1], [9, 9, 9], 10).tolist() == [4, 3, 3]
    assert quotas([1, 1, 1], [9, 9, 9], 2).tolist() == [1, 1, 0]
    # Remainders of one third each, which floats give three different values.
    assert quotas([1, 4, 7], [99] * 3, 4).tolist() == [1, 1, 2]


def test_what_a_small_group_leaves_goes_to_the_others_by_their_weights():
    assert quotas([6, 3, 1], [2, 100, 100], 10).tolist() == [2, 6, 2]


def test_a_group_without_weight_waits_for_the_others():
    assert quotas([1, 0, 0], [3, 5, 5], 3).tolist() == [3, 0, 0]
    assert quotas([1, 0, 0], [3, 5, 5], 6).tolist() == [3, 2, 1]


def test_all_is_given_where_more_is_asked_for():
    assert quotas([1, 5], [3, 4], 100).tolist() == [3, 4]
    assert quotas([], [], 5).tolist() == []
    assert quotas([1, 1], [0, 0], 5).tolist() == [0, 0]
    assert quotas([1, 1], [5, 5], 0).tolist() == [0, 0]


def test_weights_far_apart():
    assert quotas([1e-300, 1e300], [5, 5], 7).tolist() == [2, 5]
    assert quotas([5e-324, 5e-324], [5, 5], 4).tolist() == [2, 2]


def test_floors_are_kept_and_the_others_share_the_rest():
    # In proportion 5, 3, 2; the last needs 6: the others share 4 by their weights, 2.5 and 1.5.
    assert quotas([5, 3, 2], [9, 9, 9], 10, [0, 0, 6]).tolist() == [3, 1, 6]
    assert quotas([5, 3, 2], [9, 9, 9], 10, [1, 1, 1]).tolist() == [5, 3, 2]


@pytest.mark.parametrize(
    ("weights", "capacity", "least"),
    [
        ([1, -1], [1, 1], None),
        ([1, np.nan], [1, 1], None),
        ([1], [1, 1], None),
        ([1], [-1], None),
        ([1], [2], [3]),
    ],
)
def test_what_is_no_share_is_refused(weights, capacity, least):
    with pytest.raises(InputError):
        quotas(np.array(weights), np.array(capacity), 2, least)


groups = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 40)), min_size=1, max_size=12)


@given(groups, st.integers(0, 300))
def test_the_same_as_in_fractions(given_groups, total):
    weights, capacity = (list(each) for each in zip(*given_groups, strict=True))
    assert quotas(weights, capacity, total).tolist() == exact(weights, capacity, total)


@given(groups, st.integers(0, 300), st.data())
def test_within_capacity_at_least_the_floor_and_nothing_lost(given_groups, total, data):
    weights, capacity = (np.array(each) for each in zip(*given_groups, strict=True))
    least = np.array([data.draw(st.integers(0, int(most))) for most in capacity])
    least[np.cumsum(least) > min(total, capacity.sum())] = 0
    share = quotas(weights**0.5, capacity, total, least)
    assert (share <= capacity).all() and (share >= least).all()
    assert share.sum() == min(total, capacity.sum())

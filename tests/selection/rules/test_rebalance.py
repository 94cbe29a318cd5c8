"""Rebalance: proportions, equal shares, caps, tokens, rows without a group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.quotas import quotas
from scar.selection.rules import MustKeep, TopK
from scar.selection.rules.rebalance import Rebalance
from scar.selection.scored import Scored

NAN = float("nan")
# 60 of a, 30 of b, 10 without a source; the score falls along the pool.
SOURCE = ["a"] * 60 + ["b"] * 30 + [None] * 10


def pool(source=SOURCE, **columns):
    return Scored.of_columns(style=-np.arange(len(source), dtype=np.float32), source=source, **columns)


def counts(rule, rows, source=SOURCE):
    kept = [source[record] for record in rule.select(rows).rows]
    return [kept.count("a"), kept.count("b"), kept.count(None)]


def test_temperature_1_keeps_proportions_and_0_gives_equal_shares():
    assert counts(Rebalance("source", k=20, temperature=1), pool()) == [12, 6, 2]
    assert counts(Rebalance("source", k=15, temperature=0), pool()) == [5, 5, 5]


def test_a_half_weighs_by_the_square_root():
    # sqrt(60), sqrt(30), sqrt(10) = 7.746, 5.477, 3.162: of 16.385, times 30.
    assert counts(Rebalance("source", k=30), pool()) == [14, 10, 6]


def test_a_cap_and_a_small_group_leave_their_rest_to_the_others():
    assert counts(Rebalance("source", k=20, temperature=1, cap=8), pool()) == [8, 8, 4]
    assert counts(Rebalance("source", k=60, temperature=0), pool()) == [25, 25, 10]
    assert counts(Rebalance("source", k=50, cap=4), pool()) == [4, 4, 4]


def test_the_best_of_each_group_by_any_score():
    rows = pool(other=np.arange(100, dtype=np.float32))
    assert sorted(Rebalance("source", k=3, temperature=0).select(rows).rows) == [0, 60, 90]
    assert sorted(Rebalance("source", k=3, temperature=0, by="other").select(rows).rows) == [59, 89, 99]


def test_a_budget_above_what_is_there_keeps_all():
    assert counts(Rebalance("source", k=1000), pool()) == [60, 30, 10]


def test_one_group_is_top_k():
    rows = pool(["a"] * 9)
    assert Rebalance("source", k=4).select(rows).rows.tolist() == TopK(4).select(rows).rows.tolist()


def test_no_record_is_left():
    rows = Scored.of_columns(style=[NAN, NAN], source=["a", "b"])
    assert Rebalance("source", k=4).select(rows).rows.tolist() == []


def test_rows_that_must_stay_count_in_their_group():
    rule = MustKeep(["59"], column="row") + Rebalance("source", k=3, temperature=0)
    made = rule.select(pool(row=np.arange(100)))
    assert sorted(made.rows) == [59, 60, 90]


def test_tokens_are_shared_and_what_groups_cannot_spend_goes_to_the_best():
    # Half of 20 each: a takes 6 and passes over 7, b takes 9. What is left, 5, pays for the best that fits: 4 of a.
    rows = Scored.of_columns(style=[5, 4, 3, 2, 1], tokens=[6, 7, 4, 9, 5], source=["a", "a", "a", "b", "b"])
    made = Rebalance("source", tokens=20, temperature=0).select(rows)
    assert sorted(made.rows) == [0, 2, 3]
    assert made.facts[0]["largest"] == [{"group": "a", "in": 3, "out": 2}, {"group": "b", "in": 2, "out": 1}]


def test_what_is_left_of_tokens_never_breaks_a_cap():
    rows = Scored.of_columns(style=[3, 2, 1], tokens=[5, 5, 5], source=["a", "a", "b"])
    assert sorted(Rebalance("source", tokens=15, cap=5).select(rows).rows) == [0, 2]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(1, 20)), min_size=1, max_size=20
    ),
    st.integers(1, 150),
    st.sampled_from([0, 0.3, 1]),
)
def test_a_token_budget_holds_and_leaves_no_record_that_fits(given_rows, budget, temperature):
    source, scores, tokens = (list(each) for each in zip(*given_rows, strict=True))
    rows = Scored.of_columns(style=np.float32(scores), tokens=tokens, source=source)
    kept = Rebalance("source", tokens=budget, temperature=temperature).select(rows).rows
    left = budget - sum(tokens[record] for record in kept)
    assert left >= 0
    assert all(tokens[record] > left for record in range(len(tokens)) if record not in kept)


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=30),
    st.integers(1, 40),
    st.sampled_from([0, 0.5, 1]),
)
def test_counts_are_quotas(source, k, temperature):
    rows = pool(source)
    kept = [source[record] for record in Rebalance("source", k=k, temperature=temperature).select(rows).rows]
    names = list(dict.fromkeys(source))
    sizes = np.array([source.count(name) for name in names])
    assert [kept.count(name) for name in names] == quotas(sizes**temperature, sizes, k).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "k or tokens"),
        ({"k": 1, "tokens": 1}, "k or tokens"),
        ({"k": 1, "temperature": 2}, "temperature from 0 to 1"),
        ({"k": 1, "temperature": NAN}, "temperature from 0 to 1"),
        ({"k": 1, "cap": 0}, "cap of at least 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        Rebalance("source", **settings)


def test_an_unknown_column():
    with pytest.raises(InputError, match="no column 'nope'"):
        Rebalance("nope", k=1).select(pool())

"""Budgets in records or tokens, what must stay, and the twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from scar.errors import InputError
from scar.rules import Above, Between, LengthBand, Longest, MustKeep, Random, Ratio, Scored, TokenBudget, TopK

NAN = float("nan")
ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 9)), min_size=1, max_size=30)


def made(pairs, **more):
    return Scored.of_columns(style=[float(s) for s, _ in pairs], tokens=[t for _, t in pairs], **more)


@given(ROWS, st.integers(1, 60))
def test_a_token_budget_is_spent_best_first_and_passes_over_what_does_not_fit(pairs, tokens):
    left, expected = tokens, []
    for number in sorted(range(len(pairs)), key=lambda n: (-pairs[n][0], n)):
        if pairs[number][1] <= left:
            left -= pairs[number][1]
            expected.append(number)
    kept = TokenBudget(tokens).select(made(pairs))
    assert sorted(kept.rows.tolist()) == sorted(expected)
    assert kept.facts[0]["tokens"] == tokens - left <= tokens


def test_a_token_budget_needs_counts():
    with pytest.raises(InputError, match="no column 'tokens'"):
        TokenBudget(5).select(Scored.of_columns(style=[1.0]))


def test_a_band_has_both_ends():
    rows = made([(0, 1), (0, 2), (0, 3), (0, 4)])
    assert LengthBand(2, 3).select(rows).rows.tolist() == [1, 2]
    assert LengthBand(least=3).select(rows).rows.tolist() == [2, 3]
    assert LengthBand(most=1).select(rows).rows.tolist() == [0]


def test_between_has_both_ends():
    rows = Scored.of_columns(style=[0.1, 0.2, 0.3, NAN])
    assert Between(0.1, 0.2).select(rows).rows.tolist() == [1, 0]


@given(ROWS, st.sets(st.integers(0, 29), min_size=1, max_size=4), st.integers(1, 12))
def test_what_must_stay_stays_and_counts(pairs, must, k):
    must = sorted(number for number in must if number < len(pairs)) or [0]
    rows = made(pairs, id=[str(n) for n in range(len(pairs))])
    keep = MustKeep([str(n) for n in must])
    if len(must) > k:
        with pytest.raises(InputError, match=f"MustKeep holds {len(must)} records, and the budget is {k}"):
            (keep + TopK(k)).select(rows)
        return
    kept = (keep + TopK(k)).select(rows)
    others = [n for n in TopK(len(pairs)).select(rows).rows.tolist() if n not in must]
    assert set(kept.rows.tolist()) == {*must, *others[: k - len(must)]}
    # A threshold that they fail does not drop them either, nor do two stages.
    assert set(must) <= set((keep + Above(2.5) + Ratio(1.0) + LengthBand(most=1)).select(rows).rows.tolist())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda: MustKeep(["x"]), "id 'x' is not in the pool"),
        (lambda: MustKeep(["c"]), "id 'c' was set aside or dropped"),
        (lambda: TopK(1) + MustKeep(["b", "x"]), r"id 'b' \(and 1 more\) was set aside or dropped"),
        (lambda: MustKeep(["a", "b"]) + TokenBudget(5), "MustKeep holds 6 tokens, and the budget is 5"),
    ],
)
def test_what_must_stay_and_cannot_is_an_error(rule, message):
    rows = Scored.of_columns(style=[2.0, 1.0, NAN], tokens=[3, 3, None], id=["a", "b", "c"])
    with pytest.raises(InputError, match=message):
        rule().select(rows)


def test_what_must_stay_is_named_by_any_column():
    rows = Scored.of_columns(style=[2.0, 1.0, 0.0], source=["a", "b", None])
    kept = (MustKeep(["b"], column="source") + TopK(1)).select(rows)
    assert kept.rows.tolist() == [1] and kept.facts[0] == {"records": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TokenBudget(0), "whole tokens of at least 1"),
        (lambda: LengthBand(), "at least one of them"),
        (lambda: LengthBand(3, 2), "least <= most"),
        (lambda: Between(1, 0), "low <= high"),
        (lambda: Between(0, NAN), "finite numbers"),
        (lambda: MustKeep([]), "list of values"),
        (lambda: MustKeep("ab"), "list of values"),
        (lambda: MustKeep(["a", "a"]), "twice"),
        (lambda: Random(), "not neither"),
        (lambda: Random(k=1, tokens=1), "not both"),
        (lambda: Random(k=1, seed=-1), "seed"),
        (lambda: Longest(k=1.5), "whole k"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Above(0.9) + TopK(3) + Between(0.1, 0.5),
        lambda: Above(0.9, by="a") + Between(0.1, 0.5, by="a"),
        lambda: LengthBand(least=10) + LengthBand(most=9),
    ],
)
def test_rules_that_leave_nothing_between_them_are_refused(make):
    with pytest.raises(InputError, match="contradict each other: no record passes both"):
        make()


def test_bounds_that_touch_or_are_of_other_scores_are_fine():
    assert str(Above(0.5) + Between(0.1, 0.5)) == "Above(x=0.5) + Between(low=0.1, high=0.5)"
    assert Above(0.9) + Between(0.1, 0.5, by="other") + LengthBand(2, 2) + LengthBand(2)


def test_random_is_uniform_over_seeds():
    rows = Scored.of_columns(style=[0.0] * 10)
    counts = np.zeros(10)
    for seed in range(2000):
        counts[Random(k=3, seed=seed).select(rows).rows] += 1
    # Without replacement the counts vary less than chi-square's: a rule that prefers a row is far outside all the same.
    assert chisquare(counts).pvalue > 1e-4 and counts.sum() == 6000


@given(st.integers(1, 19), st.integers(0, 5))
def test_under_one_seed_fewer_are_a_part_of_more(k, seed):
    rows = Scored.of_columns(style=np.arange(20.0), tokens=[1] * 20)
    fewer, more = (set(Random(k=n, seed=seed).select(rows).rows.tolist()) for n in (k, k + 1))
    assert fewer < more
    assert set(Random(tokens=k, seed=seed).select(rows).rows.tolist()) == fewer


def test_a_row_that_was_set_aside_does_not_move_the_others():
    whole = Random(k=5).select(Scored.of_columns(style=np.arange(20.0))).rows
    holed = np.arange(20.0)
    holed[sorted(set(range(20)) - set(whole.tolist()))[0]] = NAN
    assert Random(k=5).select(Scored.of_columns(style=holed)).rows.tolist() == whole.tolist()


def test_the_longest_are_the_longest_and_the_earlier_wins_a_tie():
    rows = made([(0, 5), (9, 1), (1, 7), (2, 5)])
    assert sorted(Longest(k=2).select(rows).rows.tolist()) == [0, 2]
    assert sorted(Longest(tokens=13).select(rows).rows.tolist()) == [0, 1, 2]


def test_the_twins_order_what_they_keep_by_its_score():
    rows = made([(0, 5), (9, 1), (1, 7), (2, 5)])
    assert Longest(k=3).select(rows).rows.tolist() == [3, 2, 0]

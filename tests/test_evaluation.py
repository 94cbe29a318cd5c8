"""The figures of an evaluation against scipy, scikit-learn and brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import roc_auc_score

from scar.evaluation import Comparison, accuracy, auc, evaluate, interval, kendall, ordered
from scar.records import Tiers, Turn

TIERS = ("direct", "referenced", "human")
# Multiples of a half, so that ties are common.
SCORES = st.integers(-4, 4).map(lambda n: n / 2)


def row(source=None, **lengths):
    """Make a row whose responses have the given lengths."""
    return Tiers((Turn("user", "q"),), {tier: "x" * n for tier, n in lengths.items()}, source=source)


def rows_of(n, *, seed=0, source=None):
    random = np.random.default_rng(seed)
    return [row(source, **{tier: int(random.integers(5, 200)) for tier in TIERS}) for _ in range(n)]


@given(st.lists(st.lists(SCORES, min_size=3, max_size=3), min_size=1, max_size=8))
def test_ordered_is_one_half_or_zero_for_every_pair(table):
    scores = np.asarray(table).ravel()
    rows = [row(human=1, direct=2, referenced=3)] * len(table)
    pairs = Comparison.of(rows, TIERS)
    expected = [
        1.0 if by[a] > by[b] else 0.5 if by[a] == by[b] else 0.0
        for by in (dict(zip(("human", "direct", "referenced"), line, strict=True)) for line in table)
        for a, b in combinations(TIERS, 2)
    ]
    assert ordered(scores, pairs).tolist() == expected


def test_pairs_know_their_row_and_their_tiers():
    pairs = Comparison.of([row(human=1, direct=2), row(referenced=3), row(human=4, referenced=5)], TIERS)
    assert pairs.row.tolist() == [0, 2]
    assert pairs.pair.tolist() == [1, 2]  # direct>human, referenced>human
    assert (pairs.better.tolist(), pairs.worse.tolist()) == ([1, 4], [0, 3])


@given(st.lists(SCORES, min_size=1, max_size=20), st.lists(SCORES, min_size=1, max_size=20))
def test_auc_is_that_of_scikit_learn(positive, negative):
    expected = roc_auc_score([1] * len(positive) + [0] * len(negative), positive + negative)
    assert auc(np.asarray(positive), np.asarray(negative)) == pytest.approx(expected)


def test_auc_of_an_empty_side_is_not_a_number():
    assert np.isnan(auc(np.zeros(0), np.ones(3))) and np.isnan(auc(np.ones(3), np.zeros(0)))


@pytest.mark.slow
@given(st.lists(st.lists(SCORES, min_size=4, max_size=4), min_size=1, max_size=6))
def test_kendall_is_the_mean_of_scipys_tau_b_over_rows(table):
    tiers = ("a", "b", "c", "d")
    rows = [row(d=1, b=1, a=1, c=1)] * len(table)
    taus = [kendalltau([-3, -1, 0, -2], line).statistic for line in table if len(set(line)) > 1]
    result = kendall(rows, tiers, np.asarray(table).ravel())
    assert result["n"] == len(taus)
    if taus:
        assert result["tau"] == pytest.approx(np.mean(taus))


def test_rows_without_an_order_do_not_enter_kendall():
    rows = [row(human=1), row(human=1, direct=1)]
    assert kendall(rows, TIERS, np.asarray([5.0, 0.0, 1.0])) == {"tau": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    assert kendall(rows[:1], TIERS, np.asarray([5.0])) == {"n": 0}


def test_accuracy_of_nothing_has_no_number():
    assert accuracy(np.zeros(0), np.zeros(0, dtype=np.int64)) == {"n": 0}


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 5)), min_size=1, max_size=30))
def test_the_interval_holds_the_accuracy(pairs):
    right, rows = np.asarray([right for right, _ in pairs]), np.asarray([row for _, row in pairs])
    figures = accuracy(right, rows)
    assert figures["accuracy"] == pytest.approx(right.mean())
    assert figures["low"] - 1e-12 <= figures["accuracy"] <= figures["high"] + 1e-12


def test_the_interval_shrinks_as_the_root_of_n():
    def width(n):
        low, high = interval(np.random.default_rng(3).integers(0, 2, n).astype(float), np.ones(n))
        return high - low

    assert width(1600) == pytest.approx(width(100) / 4, rel=0.25)


def test_the_interval_is_that_of_the_normal_for_many_rows():
    right = np.tile([0.0, 1.0], 1000)
    figures = accuracy(right, np.arange(2000))
    assert figures["high"] - figures["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 2000), rel=0.1)


def test_rows_are_drawn_whole_so_that_copies_add_no_certainty():
    right = np.tile([0.0, 1.0], 50)
    alone, copied = (
        accuracy(right, np.arange(100)),
        accuracy(np.repeat(right, 10), np.repeat(np.arange(100), 10)),
    )
    assert copied["high"] - copied["low"] == pytest.approx(alone["high"] - alone["low"])


def test_the_same_scores_give_the_same_figures():
    rows = rows_of(20)
    scores = np.random.default_rng(1).random(60)
    assert evaluate(rows, TIERS, scores) == evaluate(rows, TIERS, scores)


def test_a_perfect_and_a_reversed_ranker():
    rows = rows_of(30)
    perfect = evaluate(rows, TIERS, np.tile([2.0, 1.0, 0.0], 30))
    assert perfect["overall"]["all"]["ranker"] == {"accuracy": 1.0, "low": 1.0, "high": 1.0, "n": 90}
    assert perfect["kendall"]["ranker"]["tau"] == pytest.approx(1)
    assert {values["ranker"] for values in perfect["auc"].values()} == {1.0}
    reverse = evaluate(rows, TIERS, np.tile([0.0, 1.0, 2.0], 30))
    assert reverse["overall"]["all"]["ranker"]["accuracy"] == 0 and reverse["kendall"]["ranker"][
        "tau"
    ] == pytest.approx(-1)


def test_random_is_near_a_half():
    figures = evaluate(rows_of(1000), TIERS, np.zeros(3000))["overall"]["all"]
    assert figures["random"]["accuracy"] == pytest.approx(0.5, abs=0.03)
    assert figures["ranker"]["accuracy"] == 0.5  # a constant ranker: every pair is a tie


def test_longest_and_shortest_complement_each_other():
    figures = evaluate(rows_of(200), TIERS, np.zeros(600))
    tables = [figures["overall"], *figures["pairs"].values()]
    for part in (table[title] for table in tables for title in ("all", "length_matched")):
        assert part["longest"]["accuracy"] + part["shortest"]["accuracy"] == pytest.approx(1)


def test_longest_counts_characters():
    rows = [Tiers((Turn("user", "q"),), {"direct": "ééé", "human": "ab"})]
    assert evaluate(rows, TIERS, np.zeros(2))["overall"]["all"]["longest"]["accuracy"] == 1


def test_pairs_matched_in_length_differ_by_less_than_a_quarter_of_ln():
    lengths = [(100, 100), (100, 128), (128, 100), (100, 129), (129, 100), (10, 1000)]
    figures = evaluate([row(direct=a, human=b) for a, b in lengths], TIERS, np.tile([1.0, 0.0], 6))
    assert abs(np.log(1.28)) < 0.25 < abs(np.log(1.29))
    assert figures["overall"]["length_matched"]["ranker"]["n"] == 3
    assert figures["overall"]["all"]["ranker"]["n"] == 6


def test_a_missing_tier_takes_only_its_own_pairs_away():
    rows = [row(direct=3, referenced=4, human=5), row(direct=3, human=5), row(human=9)]
    figures = evaluate(rows, TIERS, np.asarray([3, 2, 1, 3, 1, 0], dtype=np.float32))
    counts = {name: table["all"]["ranker"]["n"] for name, table in figures["pairs"].items()}
    assert counts == {"direct>referenced": 1, "direct>human": 2, "referenced>human": 1}
    assert (figures["rows"], figures["responses"], figures["kendall"]["ranker"]["n"]) == (3, 6, 2)


def test_a_tier_that_no_row_has_gives_no_number():
    figures = evaluate([row(direct=3, human=5)], TIERS, np.asarray([1.0, 0.0]))
    assert figures["pairs"]["referenced>human"]["all"]["ranker"] == {"n": 0}
    found = {name: values["ranker"] for name, values in figures["auc"].items()}
    assert found == {"direct>referenced": None, "direct>human": 1.0, "referenced>human": None}


def test_rows_of_a_single_tier_evaluate_to_nothing():
    figures = evaluate([row(human=3), row(direct=4)], TIERS, np.asarray([1.0, 2.0]))
    assert figures["overall"]["all"]["ranker"] == {"n": 0} and figures["kendall"]["ranker"] == {"n": 0}


def test_sources_are_told_apart_and_rows_without_one_are_in_none():
    rows = [*rows_of(4, source="code"), *rows_of(3, seed=1, source="web"), *rows_of(2, seed=2)]
    scores = np.concatenate([np.tile([2.0, 1, 0], 4), np.tile([0.0, 1, 2], 3), np.tile([1.0, 1, 1], 2)])
    figures = evaluate(rows, TIERS, scores)
    assert {name: table["all"]["ranker"]["accuracy"] for name, table in figures["sources"].items()} == {
        "code": 1,
        "web": 0,
    }
    assert figures["sources"]["web"]["all"]["ranker"]["n"] == 9


def test_the_overall_accuracy_is_the_mean_over_pairs():
    random = np.random.default_rng(5)
    rows, scores = rows_of(40), random.normal(size=120)
    figures = evaluate(rows, TIERS, scores)
    per_pair = [table["all"]["ranker"]["accuracy"] for table in figures["pairs"].values()]
    assert figures["overall"]["all"]["ranker"]["accuracy"] == pytest.approx(np.mean(per_pair))
    by_tier = scores.reshape(-1, 3).T
    expected = roc_auc_score([1] * 40 + [0] * 40, np.concatenate([by_tier[0], by_tier[2]]))
    assert figures["auc"]["direct>human"]["ranker"] == pytest.approx(expected)


def test_the_correlation_of_score_and_length_is_scipys():
    rows, scores = rows_of(40), np.random.default_rng(2).normal(size=120)
    lengths = [len(text) for each in rows for text in each.responses.values()]
    figures = evaluate(rows, TIERS, scores)["length_correlation"]
    assert figures == {"spearman": pytest.approx(spearmanr(scores, lengths).statistic), "n": 120}
    assert evaluate(rows, TIERS, np.zeros(120))["length_correlation"] == {"spearman": None, "n": 120}


def test_the_evaluation_says_by_what_it_measures():
    figures = evaluate(rows_of(2), TIERS, np.arange(6.0))
    assert (figures["objective"], figures["measure"]) == ("tiers", "accuracy")

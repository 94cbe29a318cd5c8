"""Every rule against brute force, and what it does at the edges."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.config import check_scores, columns_of, from_config, scores_of
from scar.selection.fuse import Fuse
from scar.selection.rules import (
    KEPT,
    NOT_ELIGIBLE,
    Above,
    Chain,
    PerGroup,
    Quantile,
    Ratio,
    Rule,
    TopK,
)
from scar.selection.scored import Scored

NAN = float("nan")
# Few distinct values, so that ties are the rule and not the exception; NaN is a record without a score.
SCORES = st.lists(st.sampled_from([-1.5, 0.0, 0.25, 0.5, 2.0, NAN]), min_size=1, max_size=25)
GROUPS = st.sampled_from(["a", "b", None])
FLOATS = st.floats(-100, 100, width=32)


def rows(*scores, **columns):
    return Scored.of_columns(style=np.asarray(scores, dtype=np.float32), **columns)


def kept(rule, scored):
    return rule.select(scored).rows.tolist()


def best(scores, among=None):
    """Order by a plain loop: the highest first, the earlier row in a tie."""
    numbers = [n for n in (among if among is not None else range(len(scores))) if not math.isnan(scores[n])]
    return sorted(numbers, key=lambda n: (-scores[n], n))


@given(SCORES, st.integers(1, 30))
def test_top_k_is_the_head_of_the_sorted_rows(scores, k):
    assert kept(TopK(k), rows(*scores)) == best(scores)[:k]


@given(SCORES, st.sampled_from([-1.5, 0.0, 0.3, 0.5, 3.0]))
def test_above_keeps_what_reaches_x(scores, x):
    assert kept(Above(x), rows(*scores)) == [n for n in best(scores) if scores[n] >= x]


@given(SCORES, st.integers(1, 100))
def test_ratio_keeps_the_ceiling_of_its_share(scores, percent):
    eligible = len(best(scores))
    assert kept(Ratio(percent / 100), rows(*scores)) == best(scores)[: -(-percent * eligible // 100)]


@given(SCORES, st.floats(0, 1))
def test_quantile_keeps_what_reaches_numpys_quantile(scores, q):
    there = [score for score in scores if not math.isnan(score)]
    expected = [n for n in best(scores) if scores[n] >= np.quantile(there, q)] if there else []
    assert kept(Quantile(q), rows(*scores)) == expected


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, NAN]), GROUPS), min_size=1, max_size=25),
    st.integers(1, 4),
)
def test_per_group_keeps_the_head_of_each_group(pairs, n):
    scores, groups = [score for score, _ in pairs], [group for _, group in pairs]
    members = {group: [k for k in range(len(groups)) if groups[k] == group] for group in groups}
    expected = {k for among in members.values() for k in best(scores, among)[:n]}
    assert kept(PerGroup("source", n), rows(*scores, source=groups)) == best(scores, expected)


@given(st.lists(FLOATS, min_size=1, max_size=20, unique=True), st.randoms())
@pytest.mark.parametrize("rule", [TopK(3), Above(0.5), Ratio(0.3), Quantile(0.6), TopK(9) + Ratio(0.5)])
def test_permuted_rows_give_the_permuted_selection(rule, scores, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    assert [order[n] for n in kept(rule, rows(*(scores[n] for n in order)))] == kept(rule, rows(*scores))


@given(SCORES)
@pytest.mark.parametrize("rule", [TopK(3), Above(0.25), Ratio(0.4), Quantile(0.5), TopK(6) + Above(0.0)])
def test_every_record_is_kept_dropped_or_without_a_score(rule, scores):
    chosen = rule.select(rows(*scores))
    assert np.flatnonzero(chosen.reasons == KEPT).tolist() == sorted(chosen.rows.tolist())
    assert (
        np.flatnonzero(chosen.reasons == NOT_ELIGIBLE).tolist() == np.flatnonzero(np.isnan(scores)).tolist()
    )
    assert chosen.scores.tolist() == [scores[n] for n in chosen.rows]


def test_the_earlier_row_wins_a_tie():
    assert kept(TopK(2), rows(0.2, 0.9, 0.9, 0.9)) == [1, 2]


def test_more_than_there_are_is_all_of_them():
    assert kept(TopK(100), rows(1, 3, 2)) == [1, 2, 0]


@pytest.mark.parametrize("rule", [TopK(2), Ratio(0.5), Quantile(0.9), PerGroup("source", 2)])
def test_equal_scores_are_all_or_the_earliest(rule):
    expected = [0, 1, 2, 3] if isinstance(rule, Quantile) else [0, 1]
    assert kept(rule, rows(1, 1, 1, 1, source=["a"] * 4)) == expected


@pytest.mark.parametrize(
    "rule", [TopK(2), Above(0), Ratio(0.5), Quantile(0.5), PerGroup("style", 2), TopK(2) + Ratio(1)]
)
def test_nothing_eligible_keeps_nothing(rule):
    assert kept(rule, rows(NAN, NAN)) == []


@pytest.mark.parametrize(
    "rule", [TopK(2), Above(0), Ratio(0.5), Quantile(0.5), PerGroup("g", 1), TopK(1, by="other")]
)
def test_an_eligible_record_without_a_score_is_an_error_that_names_it(rule):
    scored = rows(0.0, 1.0, 2.0, g=["a", "a", "b"], other=[0.5, NAN, 1.0])
    broken = Scored(lambda name: scored.load("other" if name == "style" else name), scored.eligible, "style")
    with pytest.raises(InputError, match="1 records .* the first is record 1"):
        rule.select(broken)


def test_a_hole_in_the_score_that_orders_a_chain_is_an_error_though_no_stage_uses_it():
    scored = rows(0.0, 1.0, 2.0, other=[0.5, NAN, 1.0])
    with pytest.raises(InputError, match="no finite 'other', the first is record 1"):
        (Above(0, by="style") + TopK(1, by="style")).select(Scored(scored.load, scored.eligible, "other"))


def test_an_infinite_score_is_an_error():
    with pytest.raises(InputError, match="record 1"):
        TopK(1).select(rows(0.0, math.inf))


def test_ratio_does_not_round_a_whole_share_up():
    assert len(kept(Ratio(0.1), rows(*range(30)))) == 3
    # 0.07 * 100 is 7.000000000000001 in floating point.
    assert len(kept(Ratio(0.07), rows(*range(100)))) == 7


def test_ratio_keeps_at_least_one():
    assert kept(Ratio(1e-12), rows(1, 2, 3)) == [2]


def test_above_agrees_with_the_printed_score():
    # 0.7 as float32 is below 0.7 as float64; the kept file prints it as 0.7.
    assert kept(Above(0.7), rows(0.7, 0.6999)) == [0]


@pytest.mark.parametrize("rule", [TopK, lambda k: PerGroup("source", k)])
@pytest.mark.parametrize("k", [0, -1, 2.5, 3.0, True, "3", None])
def test_a_count_that_is_not_a_whole_number_from_one_is_refused(rule, k):
    with pytest.raises(InputError, match=f"whole . of at least 1, got {k!r}"):
        rule(k)


@pytest.mark.parametrize(
    "rule, value",
    [
        (Above, NAN),
        (Above, math.inf),
        (Above, "1"),
        (Above, True),
        (Ratio, 0),
        (Ratio, 1.01),
        (Ratio, NAN),
        (Quantile, -0.1),
        (Quantile, 1.1),
        (Quantile, "half"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_value(rule, value):
    with pytest.raises(InputError, match=f"got {value!r}"):
        rule(value)


def test_the_second_stage_sees_what_the_first_kept():
    scores = [5, 4, 3, 2, 1, 0]
    assert kept(TopK(4) + Ratio(0.5), rows(*scores)) == [0, 1]
    assert kept(TopK(4) + Quantile(0.5), rows(*scores)) == [0, 1]
    assert kept(PerGroup("g", 2) + TopK(3), rows(*scores, g=["a", "a", "a", "b", "b", "b"])) == [0, 1, 3]


def test_stages_in_the_other_order_may_keep_other_rows():
    scored = rows(5, 4, 3, 2, g=["a", "a", "b", "b"])
    assert kept(TopK(2) + PerGroup("g", 1), scored) == [0]
    assert kept(PerGroup("g", 1) + TopK(2), scored) == [0, 2]


def test_reasons_say_which_stage_dropped():
    chosen = (Above(2) + TopK(1)).select(rows(1, 3, NAN, 2))
    assert chosen.reasons.tolist() == [0, KEPT, NOT_ELIGIBLE, 1]
    assert chosen.why(0) == f"dropped by {Above(2)}"
    assert chosen.why(1) == f"kept by {Above(2)}, {TopK(1)}"
    assert chosen.why(2) == "has no score"
    assert chosen.why(3) == f"dropped by {TopK(1)}"


def test_plus_is_associative():
    a, b, c = Above(0), TopK(5), Ratio(0.5)
    assert (a + b) + c == a + (b + c) == Chain((a, b, c))


def test_a_chain_is_ordered_by_the_runs_own_score():
    chosen = (TopK(2, by="other") + TopK(2, by="other")).select(rows(1, 2, 3, other=[9, 8, 7]))
    assert chosen.rows.tolist() == [1, 0]
    assert chosen.scores.tolist() == [2, 1]


def test_a_single_rule_is_ordered_by_the_score_that_it_names():
    assert kept(TopK(2, by="other"), rows(1, 2, 3, other=[9, 8, 7])) == [0, 1]


def test_a_rule_of_the_user_is_a_stage():
    class Even:
        def select(self, rows):
            keep = np.arange(len(rows)) % 2 == 0
            return Chain((Above(-1e9),)).select(rows.only(rows.eligible & keep))

    assert isinstance(Even(), Rule)
    assert kept(TopK(3) + Even(), rows(4, 5, 6, 7)) == [2]


def test_a_chain_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least one rule"):
        Chain(())


def test_a_good_config_is_the_chain_that_it_spells():
    config = {
        "by": "style",
        "keep": [
            {"Above": {"x": 0.5, "by": "quality"}},
            {"PerGroup": {"column": "lang", "n": 9}},
            {"Quantile": {"q": 0.5}},
            {"Ratio": {"ratio": 0.5}},
            {"TopK": {"k": 10}},
        ],
    }
    expected = Chain((Above(0.5, "quality"), PerGroup("lang", 9), Quantile(0.5), Ratio(0.5), TopK(10)))
    assert from_config(config) == (expected, "style")
    assert from_config({"keep": [{"TopK": {"k": 1}}]}) == (Chain((TopK(1),)), None)


GOOD = {"TopK": {"k": 1}}


@pytest.mark.parametrize(
    "config, named",
    [
        (None, "keep"),
        ([], "keep"),
        ({}, "keep"),
        ({"keep": []}, "keep"),
        ({"keep": GOOD}, "keep"),
        ({"keep": [GOOD], "kep": 1}, "'kep'"),
        ({"keep": [GOOD], 1: 2, "kep": 3}, "unknown key 1"),
        ({"keep": [GOOD], "by": 3}, "`by`"),
        ({"keep": [GOOD], "by": ["style"]}, "`by`"),
        ({"keep": [GOOD, "TopK"]}, "stage 2"),
        ({"keep": [GOOD, {**GOOD, "Above": {"x": 1}}]}, "stage 2"),
        ({"keep": [GOOD, {"BestOf": {"k": 1}}]}, "stage 2: no rule 'BestOf'"),
        ({"keep": [GOOD, {"TopK": {"n": 1}}]}, "stage 2: TopK has no setting 'n'"),
        ({"keep": [GOOD, {"TopK": {"n": 1, 2: 3}}]}, "stage 2: TopK has no setting 2"),
        ({"keep": [GOOD, {"TopK": 5}]}, "stage 2: TopK has no setting 5"),
        ({"keep": [GOOD, {"TopK": None}]}, "stage 2: TopK"),
        ({"keep": [GOOD, {"TopK": {}}]}, "stage 2: TopK needs k"),
        ({"keep": [GOOD, {"TopK": {"k": 0}}]}, "stage 2: TopK needs a whole k"),
        ({"keep": [GOOD, {"TopK": {"k": "many"}}]}, "stage 2: TopK needs a whole k"),
        ({"keep": [GOOD, {"TopK": {"k": 1, "by": ["a"]}}]}, "stage 2: TopK: `by`"),
        ({"keep": [GOOD, {"PerGroup": {"column": 5, "n": 1}}]}, "stage 2: PerGroup: column"),
        ({"keep": [GOOD, {"Ratio": {"ratio": 2}}]}, "stage 2: Ratio"),
    ],
)
def test_a_malformed_config_is_an_error_that_names_its_place(config, named):
    with pytest.raises(InputError) as error:
        from_config(config)
    assert named in str(error.value)


def test_the_columns_of_a_chain_are_those_it_groups_by():
    assert columns_of(PerGroup("b", 1) + TopK(3) + PerGroup("a", 2) + PerGroup("b", 3)) == ["b", "a"]
    assert columns_of(TopK(1)) == []


def test_a_score_that_no_ranker_gives_is_named_with_those_there_are():
    there = ["style", "style_tokens", "quality", "quality_p", "style_percentile", "p_seen"]
    check_scores(TopK(1) + Above(0, by="quality"), "style", there)
    check_scores(Above(0.7, by="quality_p") + Above(90, by="style_percentile"), "style_tokens", there)
    check_scores(Quantile(0.5, by="p_seen"), Fuse("rrf", {"style": 1, "quality": 2}), there)
    with pytest.raises(InputError, match="no score 'unseen'; there are: style, style_tokens"):
        check_scores(TopK(1) + Above(0, by="unseen"), None, ["style", "style_tokens"])
    with pytest.raises(InputError, match="no score 'other'"):
        check_scores(TopK(1), "other", ["style"])
    for rule, by in (
        (TopK(1), Fuse("rrf", {"style": 1, "other": 2})),
        (TopK(1, Fuse("ranks", {"other": 1, "style": 2})), None),
    ):
        with pytest.raises(InputError, match="no score 'other'"):
            check_scores(rule, by, ["style"])


def test_the_scores_of_rules_are_those_they_name_and_those_they_fuse():
    rule = TopK(1, by=Fuse("rrf", {"c": 1, "b": 1})) + TopK(2) + Above(0, by="a")
    assert scores_of(rule, "b") == ["b", "c", "a"]
    assert scores_of(TopK(1), None) == []

"""Fused scores against plain loops in exact fractions, and what must not change them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.fuse import Fuse
from scar.selection.rules import Above, PerGroup, Quantile, Ratio, TopK
from scar.selection.scored import Scored

NAN = float("nan")
# Few distinct values, so that ties are the rule; NaN is a record without a score.
SCORE = st.sampled_from([-1.5, 0.0, 0.25, 2.0, NAN])
ROWS = st.lists(st.tuples(SCORE, SCORE, SCORE), min_size=1, max_size=12)
WEIGHTS = st.tuples(*[st.sampled_from([1, 2, 0.1, 0.3, 7.5])] * 3)
METHODS = pytest.mark.parametrize("method", ["rrf", "ranks"])
NAMES = ("a", "b", "c")


def scored(rows, by):
    columns = np.asarray(rows, dtype=np.float32).reshape(-1, len(by.of)).T
    return Scored.of_columns(by=by, **dict(zip(by.of, columns, strict=True)))


def place(value, column):
    """Give the rank from 1 for the best, by counting; half a place for each other that ties."""
    better = sum(other > value for other in column)
    return better + Fraction(sum(other == value for other in column) + 1, 2)


def by_hand(rows, by):
    """Fuse by the formulae, record by record, in fractions: exact, so that equal is equal."""
    there = [row for row in rows if not any(map(math.isnan, row))]
    columns = list(zip(*there, strict=True))
    weights = [Fraction(weight) for weight in by.of.values()]
    n = len(there)
    if by.method == "rrf":
        k = Fraction(60 if by.k is None else by.k)
        part, whole = lambda rank: 1 / (k + rank), 1
    else:
        part, whole = lambda rank: (n + 1 - rank) / n, sum(weights)
    out = []
    for row in rows:
        if any(map(math.isnan, row)):
            out.append(None)
            continue
        ranks = [place(value, column) for value, column in zip(row, columns, strict=True)]
        out.append(sum(w * part(rank) for w, rank in zip(weights, ranks, strict=True)) / whole)
    return out


def order_by_hand(fused):
    """Order exact scores, the earlier record first in a tie that is one but for the rounding of the weights."""
    return sorted((n for n, score in enumerate(fused) if score is not None), key=lambda n: (-fused[n], n))


@METHODS
@given(ROWS, WEIGHTS, st.sampled_from([None, 0, 1, 60.5]))
def test_the_fused_score_is_the_formula(method, rows, weights, k):
    by = Fuse(method, dict(zip(NAMES, weights, strict=True)), k if method == "rrf" else None)
    expected = [NAN if score is None else float(score) for score in by_hand(rows, by)]
    np.testing.assert_allclose(scored(rows, by).column(), expected, rtol=1e-12)


@METHODS
@given(ROWS, st.tuples(*[st.sampled_from([1, 2, 4, 0.5])] * 3))
def test_the_order_is_that_of_exact_arithmetic(method, rows, weights):
    by = Fuse(method, dict(zip(NAMES, weights, strict=True)))
    assert TopK(99).select(scored(rows, by)).rows.tolist() == order_by_hand(by_hand(rows, by))


def test_the_two_methods_by_an_example():
    # Ranks of a: 1, 2, 3; of b: 3, 1.5, 1.5.
    rows = [(9, 0), (5, 7), (1, 7)]
    rrf = scored(rows, Fuse("rrf", {"a": 1, "b": 2})).column()
    assert rrf.tolist() == pytest.approx([1 / 61 + 2 / 63, 1 / 62 + 2 / 61.5, 1 / 63 + 2 / 61.5])
    ranks = scored(rows, Fuse("ranks", {"a": 1, "b": 2})).column()
    assert ranks.tolist() == pytest.approx([(1 + 2 / 3) / 3, (2 / 3 + 2 * 2.5 / 3) / 3, (1 / 3 + 5 / 3) / 3])


@METHODS
@given(ROWS, WEIGHTS, st.sampled_from([0.1, 3, 1e-3, 1e6]))
def test_scaling_the_weights_changes_no_order(method, rows, weights, factor):
    first, second = (
        Fuse(method, {name: w * f for name, w in zip(NAMES, weights, strict=True)}) for f in (1, factor)
    )
    a, b = (TopK(99).select(scored(rows, by)) for by in (first, second))
    assert a.rows.tolist() == b.rows.tolist()
    if method == "ranks":
        np.testing.assert_allclose(a.scores, b.scores, rtol=1e-6)


@METHODS
@given(ROWS, WEIGHTS)
def test_the_order_of_the_columns_changes_nothing(method, rows, weights):
    of = dict(zip(NAMES, weights, strict=True))
    columns = dict(zip(NAMES, np.asarray(rows, dtype=np.float32).T, strict=True))
    kept = [
        TopK(99).select(Scored.of_columns(by=Fuse(method, {name: of[name] for name in names}), **columns))
        for names in (NAMES, NAMES[::-1], ("b", "c", "a"))
    ]
    assert all(other.rows.tolist() == kept[0].rows.tolist() for other in kept)


@METHODS
@given(ROWS, WEIGHTS)
def test_a_monotone_change_of_a_column_changes_nothing(method, rows, weights):
    by = Fuse(method, dict(zip(NAMES, weights, strict=True)))
    changed = [(math.exp(a), b**3, 5 * c - 2) for a, b, c in rows]
    np.testing.assert_array_equal(scored(rows, by).column(), scored(changed, by).column())


@METHODS
@given(ROWS, WEIGHTS, st.randoms())
def test_permuted_records_have_the_permuted_scores(method, rows, weights, random):
    by = Fuse(method, dict(zip(NAMES, weights, strict=True)))
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = scored([rows[n] for n in order], by).column()
    np.testing.assert_array_equal(shuffled, scored(rows, by).column()[order])


@METHODS
def test_one_record_is_the_best(method):
    by = Fuse(method, {"a": 1, "b": 3})
    (score,) = scored([(5, -5)], by).column()
    assert score == pytest.approx(1 if method == "ranks" else 4 / 61)


@METHODS
def test_no_record_with_scores_keeps_nothing(method):
    rows = scored([(NAN, 1), (1, NAN)], Fuse(method, {"a": 1, "b": 3}))
    for rule in (TopK(1), Above(0), Ratio(0.5), Quantile(0.5), PerGroup("a", 1), TopK(1) + Above(0)):
        assert rule.select(rows).rows.tolist() == []


@METHODS
def test_a_tie_goes_to_the_earlier_record(method):
    by = Fuse(method, {"a": 0.1, "b": 0.1, "c": 0.1})
    # Every record has the places 1, 2 and 3: the sums differ in their last bit where they are added in turn.
    rows = scored([(3, 2, 1), (2, 1, 3), (1, 3, 2)], by)
    assert TopK(3).select(rows).rows.tolist() == [0, 1, 2]
    assert Quantile(1.0).select(rows).rows.tolist() == [0, 1, 2]


@METHODS
def test_the_fused_score_is_in_its_range(method):
    values = np.random.default_rng(0).normal(size=(500, 3))
    fused = scored(values, Fuse(method, {"a": 0.1, "b": 0.2, "c": 0.3})).column()
    most = 1 if method == "ranks" else 0.6 / 61
    assert 0 < fused.min() and fused.max() <= most * (1 + 1e-12)


def test_places_far_down_a_large_pool_still_differ():
    n = 300_000
    # In float32 the neighbours of these places have one and the same score, and the wrong one would be first.
    rows = Scored.of_columns(
        by=Fuse("ranks", {"a": 1e4, "b": 1}), a=np.repeat(np.arange(n // 2), 2), b=np.arange(n)
    )
    last = TopK(n).select(rows).rows
    assert last[:4].tolist() == [n - 1, n - 2, n - 3, n - 4] and last[-2:].tolist() == [1, 0]


@METHODS
def test_what_a_stage_drops_does_not_change_the_fused_scores(method):
    values = np.random.default_rng(1).normal(size=(40, 2))
    by = Fuse(method, {"a": 1, "b": 2})
    rows = scored(values, by)
    alone = TopK(40).select(rows)
    chain = (Quantile(0.5, by="a") + TopK(40)).select(rows)
    gate = set(Quantile(0.5, by="a").select(rows).rows.tolist())
    kept = [n in gate for n in alone.rows.tolist()]
    assert chain.rows.tolist() == alone.rows[kept].tolist()
    assert chain.scores.tolist() == alone.scores[kept].tolist()


@METHODS
def test_a_stage_may_fuse_where_the_run_orders_by_a_name(method):
    by = Fuse(method, {"a": 1, "b": 9})
    rows = Scored.of_columns(by="a", a=[4.0, 3, 2, 1], b=[0.0, 8, 9, 1])
    chosen = (TopK(2, by=by) + TopK(2)).select(rows)
    assert chosen.rows.tolist() == [1, 2]
    assert chosen.scores.tolist() == [3, 2]
    assert TopK(2, by=by).select(rows).rows.tolist() == [2, 1]


@given(ROWS, st.sampled_from([-1.5, 0.0, 1.0]), st.floats(0, 1), st.integers(1, 12))
def test_a_selection_is_a_part_of_what_every_gate_keeps_alone(rows, x, q, k):
    by = Fuse("rrf", dict.fromkeys(NAMES, 1))
    gates = (Above(x, by="a"), Quantile(q, by="b"), TopK(k))
    kept = set((gates[0] + gates[1] + gates[2]).select(scored(rows, by)).rows.tolist())
    assert kept <= set(gates[0].select(scored(rows, by)).rows.tolist())
    both = set((gates[0] + gates[1]).select(scored(rows, by)).rows.tolist())
    passed = gates[0].select(scored(rows, by)).rows
    assert kept <= both <= set(passed.tolist())
    gates_of_numbers = (Above(x, by="a"), Above(0.0, by="b"))
    kept = set((gates_of_numbers[0] + gates_of_numbers[1]).select(scored(rows, by)).rows.tolist())
    alone = [set(gate.select(scored(rows, by)).rows.tolist()) for gate in gates_of_numbers]
    assert kept == alone[0] & alone[1]


def test_a_record_high_in_one_and_below_the_gate_of_the_other_is_never_kept():
    unseen, quality = np.arange(100.0), np.tile([0.9, 0.1], 50)
    rows = Scored.of_columns(by=Fuse("ranks", {"unseen": 9, "quality": 1}), unseen=unseen, quality=quality)
    kept = (Above(0.5, by="quality") + Quantile(0.5, by="unseen") + TopK(99)).select(rows).rows
    assert len(kept) == 25 and (quality[kept] == 0.9).all()


def test_a_record_without_one_of_the_scores_is_an_error_that_names_the_column():
    rows = Scored.of_columns(by="a", a=[1.0, 2.0, 3.0], b=[1.0, NAN, math.inf])
    with pytest.raises(InputError, match="2 records have no finite 'b', the first is record 1"):
        TopK(1, by=Fuse("rrf", {"a": 1, "b": 1})).select(rows)


def test_a_column_of_text_or_of_flags_is_not_fused():
    rows = Scored.of_columns(by="a", a=[1.0, 2.0], b=["x", "y"], c=[True, False])
    for name in "bc":
        with pytest.raises(InputError, match=f"'{name}' holds .*not numbers"):
            TopK(1, by=Fuse("ranks", {"a": 1, name: 1})).select(rows)


def test_an_unknown_column_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no column 'c' in the scores; there are: a, b"):
        Scored.of_columns(by=Fuse("rrf", {"a": 1, "c": 1}), a=[1.0], b=[1.0])


@pytest.mark.parametrize("weight", [0, -1, 0.0, NAN, math.inf, "2", None, True, [1], 10**400])
def test_a_weight_that_is_not_a_number_above_0_is_refused(weight):
    with pytest.raises(InputError, match="the weight of 'b' must be a finite number above 0, got"):
        Fuse("rrf", {"a": 1, "b": weight})


@pytest.mark.parametrize("of", [{}, {"a": 1}, None, "a", ["a", "b"], 3, {"a": 1, 2: 1}, {("a", "b"): 1}])
def test_what_is_fused_must_be_columns_with_weights(of):
    with pytest.raises(InputError, match="`of` .*style: 1, quality: 2"):
        Fuse("ranks", of)


@pytest.mark.parametrize("method", ["mean", "RRF", "", None, 3, ["rrf"]])
def test_an_unknown_method_is_named_with_those_there_are(method):
    with pytest.raises(InputError, match="no method .*; there are: rrf, ranks"):
        Fuse(method, {"a": 1, "b": 1})


@pytest.mark.parametrize("k", [-1, NAN, math.inf, "60", True])
def test_a_k_that_is_not_a_number_from_0_is_refused(k):
    with pytest.raises(InputError, match="k must be a number of at least 0, got"):
        Fuse("rrf", {"a": 1, "b": 1}, k)


def test_k_is_for_rrf_alone():
    with pytest.raises(InputError, match="k belongs to rrf"):
        Fuse("ranks", {"a": 1, "b": 1}, 60)


def test_equal_fusions_are_equal_values_and_later_changes_do_not_reach_them():
    of = {"a": 1, "b": 2}
    by = Fuse("rrf", of)
    of["a"] = 9
    assert by == Fuse("rrf", {"b": 2, "a": 1}) and hash(by) == hash(Fuse("rrf", {"b": 2, "a": 1}))
    assert by != Fuse("rrf", of)


@pytest.mark.parametrize(
    "config, named",
    [
        ({"fuse": "rrf"}, "'of' is missing"),
        ({"of": {"a": 1, "b": 1}}, "'fuse' is missing"),
        ({"fuse": "rrf", "of": {"a": 1, "b": 1}, "off": 1}, "unknown key 'off'; known: fuse, of, k"),
        ({}, "'fuse' is missing"),
    ],
)
def test_a_malformed_config_is_an_error_that_names_the_key(config, named):
    with pytest.raises(InputError) as error:
        Fuse.from_config(config)
    assert named in str(error.value)

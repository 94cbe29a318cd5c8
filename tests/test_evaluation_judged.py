"""Figures by labels, grades and pairs against scikit-learn, scipy, brute force and the full bootstrap."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from scar.cli.evaluate import print_evaluation
from scar.errors import InputError
from scar.evaluation import concordance, evaluate, evaluate_judged, figures
from scar.records import Judged, Tiers, Turn

# Multiples of a half, so that ties are common.
SCORES = st.integers(-4, 4).map(lambda n: n / 2)
LENGTHS = st.integers(1, 12)
SOURCES = st.sampled_from([None, "code", "web"])


def single(length=5, instruction="q", source=None, **more):
    return Judged((Turn("user", instruction),), ("x" * length,), source=source, **more)


def pair(better, worse, instruction="q", source=None):
    responses = ("x" * better, "y" * worse)
    return Judged((Turn("user", instruction),), responses, source=source)


LABELLED = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), SCORES, LENGTHS, SOURCES), min_size=2, max_size=25
).filter(lambda rows: len({row[0] for row in rows}) == 2)
GRADED = st.lists(st.tuples(SCORES, SCORES, LENGTHS, SOURCES), min_size=1, max_size=20)


def made(rows, name):
    items = [
        single(length, f"q{n // 3}", source, **{name: y}) for n, (y, _, length, source) in enumerate(rows)
    ]
    return items, np.asarray([score for _, score, _, _ in rows])


def quickly(rows, scores, objective):
    """Evaluate with few draws: the shares are the same, and hundreds of examples take seconds, not minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "RESAMPLES", 40)
        return evaluate_judged(rows, scores, objective)


def brute(rows, scores, judged, keep=lambda a, b: True):
    """Compare every two rows judged differently, ties counting half; None where there are none."""
    won = [
        1.0 if scores[a] > scores[b] else 0.5 if scores[a] == scores[b] else 0.0
        for a, b in product(range(len(rows)), repeat=2)
        if judged[a] > judged[b] and keep(rows[a], rows[b])
    ]
    return {"n": 0} if not won else {"share": float(np.mean(won)), "n": len(won)}


def same(figure, expected, measure):
    assert figure["n"] == expected["n"]
    if figure["n"]:
        assert figure[measure] == pytest.approx(expected["share"])
        assert figure["low"] - 1e-9 <= figure[measure] <= figure["high"] + 1e-9
        assert 0 <= figure["low"] and figure["high"] <= 1


def alike(a, b):
    return a.source == b.source and abs(np.log(len(a.responses[0]) / len(b.responses[0]))) < 0.25


@pytest.mark.slow
@given(LABELLED)
def test_the_auc_of_labels_is_that_of_scikit_learn_for_every_contender(rows):
    items, scores = made(rows, "label")
    labels = [row[0] for row in rows]
    told = quickly(items, scores, "labels")["overall"]["all"]
    lengths = [row[2] for row in rows]
    assert told["ranker"]["auc"] == pytest.approx(roc_auc_score(labels, scores))
    assert told["longest"]["auc"] == pytest.approx(roc_auc_score(labels, lengths))
    assert told["shortest"]["auc"] == pytest.approx(1 - told["longest"]["auc"])


@given(LABELLED)
def test_length_matched_pairs_are_those_of_one_source_by_brute_force(rows):
    items, scores = made(rows, "label")
    labels = [row[0] for row in rows]
    told = quickly(items, scores, "labels")
    same(told["overall"]["length_matched"]["ranker"], brute(items, scores, labels, alike), "auc")
    for source, table in told["sources"].items():
        mine = [n for n, row in enumerate(items) if row.source == source]
        some, theirs = [items[n] for n in mine], [labels[n] for n in mine]
        same(table["all"]["ranker"], brute(some, scores[mine], theirs), "auc")
        same(table["length_matched"]["ranker"], brute(some, scores[mine], theirs, alike), "auc")
    assert set(told["sources"]) == {row.source for row in items} - {None}


@given(GRADED)
def test_grades_agree_with_brute_force_and_scipy(rows):
    items, scores = made(rows, "score")
    grades = [row[0] for row in rows]
    told = quickly(items, scores, "graded")
    same(told["overall"]["all"]["ranker"], brute(items, scores, grades), "concordance")
    same(told["overall"]["length_matched"]["ranker"], brute(items, scores, grades, alike), "concordance")
    within = brute(items, scores, grades, lambda a, b: a.turns == b.turns)
    same(told["same_instruction"]["ranker"], within, "accuracy")
    ranks = told["spearman"]["ranker"]
    assert ranks["n"] == len(rows)
    if len(set(grades)) > 1 and len(set(scores)) > 1:
        assert ranks["spearman"] == pytest.approx(spearmanr(grades, scores).statistic)
    else:
        assert ranks["spearman"] is None


@pytest.mark.slow
@given(GRADED, st.integers(1, 40))
def test_how_many_pairs_are_compared_at_once_does_not_matter(rows, chunk):
    items, scores = made(rows, "score")
    whole = quickly(items, scores, "graded")
    before, concordance._CHUNK = concordance._CHUNK, chunk
    try:
        assert quickly(items, scores, "graded") == whole
    finally:
        concordance._CHUNK = before


@given(st.lists(st.tuples(SCORES, SCORES, LENGTHS, LENGTHS, SOURCES), min_size=1, max_size=20))
def test_pairs_agree_with_brute_force(rows):
    items = [pair(a, b, f"q{n % 4}", source) for n, (_, _, a, b, source) in enumerate(rows)]
    scores = np.asarray([score for row in rows for score in row[:2]])
    right = np.asarray([1.0 if a > b else 0.5 if a == b else 0.0 for a, b, *_ in rows])
    close = np.asarray([abs(np.log(a / b)) < 0.25 for _, _, a, b, _ in rows])
    told = quickly(items, scores, "pairs")
    assert told["overall"]["all"]["ranker"]["accuracy"] == pytest.approx(right.mean())
    assert told["overall"]["length_matched"]["ranker"]["n"] == close.sum()
    for source, table in told["sources"].items():
        mine = np.asarray([row.source == source for row in items])
        assert table["all"]["ranker"]["accuracy"] == pytest.approx(right[mine].mean())
        if (mine & close).any():
            matched = table["length_matched"]["ranker"]
            assert matched["accuracy"] == pytest.approx(right[mine & close].mean())


def clustered(seed, groups=120, grades=2):
    """Make rows whose scores share a part by instruction, so that an interval by row would be too narrow."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 5)
    judged = np.repeat(random.integers(0, grades, groups), 5).astype(float)
    scores = judged * 0.8 + np.repeat(random.normal(size=groups), 5) + 0.3 * random.normal(size=5 * groups)
    return group, judged, scores


def full_bootstrap(group, judged, scores, draws=400):
    random, found = np.random.default_rng(7), []
    places = [np.flatnonzero(group == number) for number in range(group.max() + 1)]
    for _ in range(draws):
        drawn = np.concatenate([places[n] for n in random.integers(0, len(places), len(places))])
        found.append(roc_auc_score(judged[drawn], scores[drawn]))
    return np.quantile(found, [0.025, 0.975])


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_the_auc_is_that_of_the_full_bootstrap_by_instruction(seed):
    group, judged, scores = clustered(seed)
    rows = [single(instruction=f"q{g}", label=y) for g, y in zip(group, judged, strict=True)]
    figure = evaluate_judged(rows, scores, "labels")["overall"]["all"]["ranker"]
    low, high = full_bootstrap(group, judged, scores)
    assert figure["high"] - figure["low"] == pytest.approx(high - low, rel=0.15)
    assert (figure["low"], figure["high"]) == pytest.approx((low, high), abs=0.02)


def test_copies_of_rows_add_no_certainty():
    random = np.random.default_rng(3)
    labels, scores = random.integers(0, 2, 100), random.normal(size=100)
    rows = [single(instruction=f"q{n}", label=float(y)) for n, y in enumerate(labels)]
    alone = evaluate_judged(rows, scores, "labels")["overall"]["all"]["ranker"]
    copied = evaluate_judged(rows * 4, np.tile(scores, 4), "labels")["overall"]["all"]["ranker"]
    assert copied["n"] == 16 * alone["n"]
    assert (copied["auc"], copied["low"], copied["high"]) == pytest.approx(
        (alone["auc"], alone["low"], alone["high"])
    )


def test_pairs_of_one_instruction_are_drawn_together():
    random = np.random.default_rng(4)
    right = random.integers(0, 2, 60)
    scores = np.asarray([score for r in right for score in (r, 1 - r)], dtype=float)
    alone = evaluate_judged([pair(5, 6, f"q{n}") for n in range(60)], scores, "pairs")["overall"]["all"]
    copied = evaluate_judged([pair(5, 6, f"Q{n} ") for n in range(60)] * 3, np.tile(scores, 3), "pairs")[
        "overall"
    ]["all"]
    assert copied["ranker"]["low"] == pytest.approx(alone["ranker"]["low"])


def test_a_perfect_and_a_constant_ranker_of_labels():
    rows = [single(length=n, instruction=f"q{n}", label=float(n > 10)) for n in range(1, 21)]
    perfect = evaluate_judged(rows, np.arange(20.0), "labels")
    assert perfect["overall"]["all"]["ranker"] == {"auc": 1.0, "low": 1.0, "high": 1.0, "n": 100}
    assert (perfect["good"], perfect["bad"], perfect["measure"]) == (10, 10, "auc")
    assert perfect["length_correlation"] == {"spearman": pytest.approx(1.0), "n": 20}
    constant = evaluate_judged(rows, np.zeros(20), "labels")
    assert constant["overall"]["all"]["ranker"]["auc"] == 0.5
    assert constant["length_correlation"]["spearman"] is None


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_has_no_auc(label):
    told = evaluate_judged([single(label=label, source="code")] * 3, np.arange(3.0), "labels")
    assert told["overall"]["all"]["ranker"] == told["sources"]["code"]["all"]["ranker"] == {"n": 0}


def test_rows_without_the_judgement_are_left_out_with_their_scores():
    rows = [single(label=1.0), single(score=3.0), single(label=0.0), pair(5, 6), single(label=1.0)]
    told = evaluate_judged(rows, np.asarray([2.0, 99, 1, 99, 99, 3]), "labels")
    assert (told["rows"], told["responses"], told["left_out"]) == (3, 3, 2)
    assert told["overall"]["all"]["ranker"]["auc"] == 1
    pairs = [pair(5, 6), Judged((Turn("user", "q"),), ("same", "same")), single(label=1.0)]
    told = evaluate_judged(pairs, np.asarray([1.0, 0, 5, 5, 9]), "pairs")
    assert (told["rows"], told["responses"], told["left_out"]) == (1, 2, 2)
    assert told["overall"]["all"]["ranker"]["accuracy"] == 1


@pytest.mark.parametrize("objective", ["labels", "graded", "pairs"])
def test_nothing_to_evaluate_is_an_error(objective):
    for rows in ([], [single()]):
        with pytest.raises(InputError, match=f"nothing to evaluate by {objective}"):
            evaluate_judged(rows, np.zeros(len(rows)), objective)


def printed(result, capsys):
    json.dumps(result, allow_nan=False)
    print_evaluation(result)
    return capsys.readouterr().out


def test_every_kind_of_evaluation_is_printed_with_the_correlation_with_length(capsys):
    labels = [single(n, f"q{n}", "code", label=float(n % 2)) for n in range(1, 21)]
    grades = [single(n, f"q{n // 2}", "code", score=float(n % 3)) for n in range(1, 21)]
    pairs = [pair(n, n + 3, f"q{n}", "code") for n in range(1, 11)]
    tiers = [
        Tiers((Turn("user", "q"),), {"direct": "x" * n, "human": "y"}, source="code") for n in range(1, 11)
    ]
    scores = np.random.default_rng(0).normal(size=20)
    for result, words in (
        (evaluate_judged(labels, scores, "labels"), ("AUC, %", "of one source", "code")),
        (
            evaluate_judged(grades, scores, "graded"),
            ("concordance, %", "Spearman with the grades", "within an instruction"),
        ),
        (evaluate_judged(pairs, scores, "pairs"), ("ordered right, %", "code")),
        (evaluate(tiers, ("direct", "human"), scores), ("direct>human", "Kendall's tau", "AUC direct>human")),
    ):
        text = printed(result, capsys)
        spearman = f"{result['length_correlation']['spearman']:.3f}"
        assert all(word in text for word in (*words, f"length of the response: Spearman {spearman} (n = 20)"))
        first = result["overall"]["all"]["ranker"]
        assert f"{first[result['measure']] * 100:.1f} [{first['low'] * 100:.0f}" in text
    assert "left out" not in text


def test_what_has_no_number_is_printed_as_such(capsys):
    text = printed(evaluate_judged([single(label=1.0), pair(2, 3)], np.ones(3), "labels"), capsys)
    assert "Spearman not defined (n = 1)" in text and "left out: 1 rows" in text

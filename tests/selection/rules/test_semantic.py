"""SemanticDuplicates against brute force, in cells and out of them; OnePass by its definition."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.records import Record
from scar.selection.rules import semantic
from scar.selection.rules.rule import NOBODY
from scar.selection.rules.semantic import OnePass, SemanticDuplicates
from scar.selection.scored import Scored
from tests.selection.embedded import cosine_matrix, families


def scored(n, d, decimals=1, **columns):
    scores = np.random.default_rng(5).standard_normal(n).round(decimals).astype(np.float32)
    return Scored.of_columns(style=scores, embeddings=families(n, d), **columns)


def greedy(embeddings, scores, cosine, keys=None):
    """Drop what has a better kept copy: gives what is kept, and the nearest kept copy of each other."""
    cosines, kept, crowded = np.round(cosine_matrix(embeddings), 6), [], {}
    for row in np.argsort(-scores, kind="stable").tolist():
        near = [o for o in kept if cosines[row, o] >= cosine and (keys is None or keys[o] == keys[row])]
        if near:
            crowded[row] = max(near, key=lambda other: cosines[row, other])
        else:
            kept.append(row)
    return kept, crowded


def check(made, kept, crowded):
    assert sorted(made.rows.tolist()) == sorted(kept)
    assert {
        row: by for row, by in enumerate(made.crowded_by.tolist()) if by != NOBODY
    }.keys() == crowded.keys()


@pytest.mark.parametrize("cosine", [0.8, 0.95, 1.0])
def test_it_equals_brute_force(cosine):
    rows = scored(1500, 8)
    made = SemanticDuplicates(cosine, numbers=False).select(rows)
    kept, crowded = greedy(families(1500, 8), rows.finite(), cosine)
    check(made, kept, crowded)
    near = cosine_matrix(families(1500, 8))
    for row, by in crowded.items():
        assert near[row, made.crowded_by[row]] == pytest.approx(near[row, by], abs=1e-12)


def test_a_dropped_record_drops_nobody():
    # The chain of SemDeDup: b is a copy of a, c one of b and not of a.
    embeddings = np.array([[1, 0], [0.96, 0.28], [0.8, 0.6]])
    made = SemanticDuplicates(0.9, numbers=False).select(
        Scored.of_columns(style=[3.0, 2, 1], embeddings=embeddings)
    )
    assert made.rows.tolist() == [0, 2] and made.crowded_by.tolist() == [NOBODY, 0, NOBODY]


def test_exact_copies_always_go_and_a_second_time_nothing_does():
    rows = scored(500, 16)
    made = SemanticDuplicates(1.0, numbers=False).select(rows)
    distinct = np.unique(families(500, 16), axis=0)
    assert len(made.rows) == len(distinct) < 500
    rule = SemanticDuplicates(0.9, numbers=False)
    once = rule.select(rows)
    mask = np.zeros(500, dtype=bool)
    mask[once.rows] = True
    assert rule.select(rows.only(mask)).rows.tolist() == once.rows.tolist()


def test_one_template_with_other_numbers_stays():
    asked = ["What is 2+2?", "What is 2+3?", "What is 2 + 2?", "What is two and two?"]
    answers = ["4", "5", "It is 4.", "4"]
    records = [Record.plain(x, y) for x, y in zip(asked, answers, strict=True)]
    rows = Scored.of_columns(style=[4.0, 3, 2, 1], embeddings=np.ones((4, 3)), records=records)
    made = SemanticDuplicates().select(rows)
    assert made.rows.tolist() == [0, 1, 3] and made.crowded_by.tolist() == [NOBODY, NOBODY, 0, NOBODY]
    assert SemanticDuplicates(numbers=False).select(rows).rows.tolist() == [0]
    assert SemanticDuplicates().needs().texts and not SemanticDuplicates(numbers=False).needs().texts


def test_numbers_against_brute_force():
    digits = np.random.default_rng(2).integers(0, 3, 900)
    rows = scored(900, 6, records=[Record.plain(f"Add {digit}.", "Yes.") for digit in digits])
    made = SemanticDuplicates(0.85).select(rows)
    check(made, *greedy(families(900, 6), rows.finite(), 0.85, digits))


def test_cells_find_nearly_all_and_say_what_they_missed(monkeypatch):
    monkeypatch.setattr(semantic, "_CHECKED", 3000)
    rows = scored(1200, 8)
    exact = SemanticDuplicates(0.95, numbers=False).select(rows)
    made = SemanticDuplicates(0.95, numbers=False, clusters=20, probes=3).select(rows)
    assert exact.facts[0] == {"dropped": int((exact.reasons == 0).sum()), "cells": 0}
    assert made.facts[0]["cells"] == 20 and made.facts[0]["checked"] == len(made.rows)
    few = SemanticDuplicates(0.95, numbers=False, clusters=20, probes=1).select(rows)
    assert few.facts[0]["missed"] > made.facts[0]["missed"] and made.facts[0]["missed"] <= 0.03 * len(
        made.rows
    )
    # Whatever is kept beyond need has a better kept copy in another cell: the check counts just these.
    near = np.round(cosine_matrix(families(1200, 8)), 6) >= 0.95
    for each in (made, few):
        order = each.rows
        beyond = sum(bool(near[row, order[:at]].any()) for at, row in enumerate(order))
        assert each.facts[0]["missed"] == beyond
    every = SemanticDuplicates(0.95, numbers=False, clusters=20, probes=20).select(rows)
    assert every.rows.tolist() == exact.rows.tolist() and every.facts[0]["missed"] == 0
    assert every.crowded_by.tolist() == exact.crowded_by.tolist()


def test_cells_do_not_depend_on_blocks(monkeypatch):
    rows = scored(1000, 6)
    rule = SemanticDuplicates(0.9, numbers=False, clusters=15, probes=2)
    whole = rule.select(rows)
    monkeypatch.setattr(semantic, "_BLOCK", 13)
    parts = rule.select(rows)
    assert (
        parts.rows.tolist() == whole.rows.tolist() and parts.crowded_by.tolist() == whole.crowded_by.tolist()
    )


def test_rows_that_must_stay_stay_and_drop_their_copies():
    rows = Scored.of_columns(style=[3.0, 2, 1], embeddings=np.ones((3, 2)))
    must = np.array([False, True, True])
    made = SemanticDuplicates(numbers=False).select(rows.only(rows.eligible, must))
    assert made.rows.tolist() == [1, 2] and made.crowded_by.tolist() == [1, NOBODY, NOBODY]
    made = OnePass().select(rows.only(rows.eligible, must))
    assert made.rows.tolist() == [1, 2] and made.crowded_by.tolist() == [1, NOBODY, NOBODY]


def clusters_by_definition(embeddings, tau, centroid):
    """Take one row at a time: it joins the most similar representative, or is one."""
    wide = embeddings.astype(np.float64)
    wide = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    sums, labels = [], []
    for row in wide:
        cosines = [row @ total / np.linalg.norm(total) for total in sums]
        best = int(np.argmax(cosines)) if sums else -1
        if sums and round(cosines[best], 6) >= tau:
            labels.append(best)
            if centroid:
                sums[best] = sums[best] + row
        else:
            labels.append(len(sums))
            sums.append(row)
    return np.array(labels)


@pytest.mark.parametrize("centroid", [False, True])
@pytest.mark.parametrize(("d", "tau"), [(3, 0.9), (8, 0.6), (16, 0.85)])
def test_one_pass_is_what_its_definition_says(d, tau, centroid):
    rows = scored(500, d, decimals=3)
    labels = clusters_by_definition(families(500, d), tau, centroid)
    members = [np.flatnonzero(labels == number) for number in range(labels.max() + 1)]
    scores = rows.finite()
    for keep, kept in (
        ("first", [group[0] for group in members]),
        ("best", [group[np.argmax(scores[group])] for group in members]),
    ):
        made = OnePass(tau, keep=keep, centroid=centroid).select(rows)
        assert sorted(made.rows.tolist()) == sorted(kept)
        expected = np.array(kept)[labels]
        expected[kept] = NOBODY
        assert made.crowded_by.tolist() == expected.tolist()
        assert made.facts[0] == {"clusters": len(members)}


def test_first_members_are_far_from_each_other_and_near_their_own():
    made = OnePass(0.8, keep="first").select(scored(600, 5))
    cosines, kept = np.round(cosine_matrix(families(600, 5)), 6), made.rows
    among = cosines[np.ix_(kept, kept)]
    assert (among[np.triu_indices(len(kept), 1)] < 0.8).all()
    dropped = np.flatnonzero(made.crowded_by != NOBODY)
    assert len(dropped) == 600 - len(kept) and (cosines[dropped, made.crowded_by[dropped]] >= 0.8).all()


@pytest.mark.parametrize("centroid", [False, True])
def test_extreme_thresholds_and_the_cap(centroid):
    rows = scored(300, 4)
    assert len(OnePass(1.01, centroid=centroid).select(rows).rows) == 300
    assert len(OnePass(-1.0, centroid=centroid).select(rows).rows) == 1
    opposite = Scored.of_columns(style=np.zeros(3), embeddings=np.array([[1, 0], [-1, 0], [0, 1]]))
    assert len(OnePass(-1.0, centroid=centroid).select(opposite).rows) == 1
    with pytest.raises(InputError, match="more than 299 clusters: lower tau, or raise most_clusters"):
        OnePass(1.01, centroid=centroid, most_clusters=299).select(rows)
    assert len(OnePass(1.01, centroid=centroid, most_clusters=300).select(rows).rows) == 300


def test_edges():
    rows, none = scored(30, 3), np.zeros(30, dtype=bool)
    for rule in (
        SemanticDuplicates(numbers=False),
        SemanticDuplicates(numbers=False, clusters=3),
        OnePass(),
        OnePass(centroid=True),
    ):
        assert rule.select(rows.only(none)).rows.tolist() == []
        one = none.copy()
        one[4] = True
        assert rule.select(rows.only(one)).rows.tolist() == [4]
    with pytest.raises(InputError, match="raise memory_gb"):
        SemanticDuplicates(numbers=False, memory_gb=1e-9).select(rows)


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (SemanticDuplicates, {"cosine": 1.1}, "cosine from -1 to 1"),
        (SemanticDuplicates, {"numbers": "yes"}, "numbers: true or false"),
        (SemanticDuplicates, {"clusters": 0}, "number of clusters"),
        (SemanticDuplicates, {"probes": 0}, "number of probes"),
        (SemanticDuplicates, {"seed": 2**32}, "seed"),
        (OnePass, {"tau": float("inf")}, "finite number tau"),
        (OnePass, {"keep": "last"}, "best or first"),
        (OnePass, {"centroid": 1}, "centroid: true or false"),
        (OnePass, {"most_clusters": 0}, "most_clusters"),
    ],
)
def test_settings_that_do_not_fit(rule, settings, message):
    with pytest.raises(InputError, match=message):
        rule(**settings)

"""FacilityLocation: who serves whom, ties by score, budgets, rows that must stay."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.selection.rules import NOBODY, MustKeep, TopK, facility, needs_of
from scar.selection.rules.facility import FacilityLocation
from scar.selection.scored import Scored

# Three of a kind, two of another, one alone.
EMBEDDINGS = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float16)


def pool(style=(1, 3, 2, 1, 2, 0), **columns):
    return Scored.of_columns(style=np.float32(style), embeddings=EMBEDDINGS, **columns)


def kept(rule, rows):
    return set(rule.select(rows).rows.tolist())


def test_the_largest_kind_comes_first_and_the_best_of_a_kind_stands_for_it():
    assert kept(FacilityLocation(k=1), pool()) == {1}
    assert kept(FacilityLocation(k=2), pool()) == {1, 4}
    assert kept(FacilityLocation(k=3), pool()) == {1, 4, 5}


def test_who_serves_whom_is_told():
    made = FacilityLocation(k=2).select(pool())
    assert made.crowded_by.tolist() == [1, NOBODY, 1, 4, NOBODY, NOBODY]
    assert made.facts[0]["mean_similarity"] == pytest.approx(5 / 6)


def test_what_adds_nothing_comes_by_score():
    assert kept(FacilityLocation(k=4), pool()) == {1, 4, 5, 2}
    assert kept(FacilityLocation(k=99), pool()) == set(range(6))


def test_another_score_and_a_tie():
    assert kept(FacilityLocation(k=1, by="other"), pool(other=[0, 0, 5, 0, 0, 0])) == {2}
    assert kept(FacilityLocation(k=1), pool(style=[1] * 6)) == {0}


def test_rows_that_must_stay_serve_first():
    rows = pool(row=np.arange(6))
    made = (MustKeep(["0"], column="row") + FacilityLocation(k=2)).select(rows)
    assert set(made.rows) == {0, 4}
    full = (MustKeep(["0"], column="row") + FacilityLocation(k=1)).select(rows)
    assert set(full.rows) == {0} and full.crowded_by[1] == 0


def test_tokens():
    rows = pool(tokens=[9, 9, 9, 4, 4, 2])
    assert kept(FacilityLocation(tokens=8), rows) == {4, 5}
    assert kept(FacilityLocation(tokens=15), rows) == {1, 4, 5}


def test_rows_without_scores_have_no_part():
    nan = float("nan")
    assert kept(FacilityLocation(k=1), pool(style=[nan, nan, nan, 1, 2, 0])) == {4}
    assert kept(FacilityLocation(k=1), pool(style=[nan] * 6)) == set()


def test_too_many_records_are_refused_with_what_they_would_need(monkeypatch):
    monkeypatch.setattr(facility, "MOST", 5)
    with pytest.raises(InputError, match="FacilityLocation takes at most 5 records, here are 6: up to"):
        FacilityLocation(k=1).select(pool())
    assert kept(TopK(5) + FacilityLocation(k=1), pool()) == {1}


def test_needs():
    assert needs_of(FacilityLocation(k=1)).embeddings
    with pytest.raises(InputError, match="k or tokens"):
        FacilityLocation()

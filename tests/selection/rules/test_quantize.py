"""Quantize: even draws from GraphCut's bins."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.selection.diversity.exact import on_grid
from scar.selection.diversity.graph_cut import bins_of
from scar.selection.rules import MustKeep, TopK, needs_of, quantize
from scar.selection.rules.quantize import Quantize
from scar.selection.scored import Scored


def pool(n=50, seed=0, style=None, **columns):
    drawn = np.random.default_rng(seed).normal(size=(n, 8)) + 0.3
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    scores = np.arange(n, 0, -1, dtype=np.float32) if style is None else style
    return Scored.of_columns(style=scores, embeddings=drawn.astype(np.float16), **columns)


def bins(rows, number):
    return bins_of(on_grid(rows.embeddings().take(np.arange(len(rows)))), number)


def kept(rule, rows):
    return rule.select(rows).rows.tolist()


def test_every_bin_gives_the_same_number_and_no_remainder_is_lost():
    rows = pool(52)
    made = Quantize(k=23, bins=10).select(rows)
    drawn = np.bincount(bins(rows, 10)[made.rows], minlength=10)
    assert drawn.tolist() == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2] == made.facts[0]["drawn"]
    assert made.facts[0]["bins"] == [6, 6, 5, 5, 5, 5, 5, 5, 5, 5]


def test_under_one_seed_a_smaller_budget_keeps_a_part_of_a_larger_ones():
    assert set(kept(Quantize(k=10, bins=5), pool())) < set(kept(Quantize(k=20, bins=5), pool()))
    assert kept(Quantize(k=10, bins=5), pool()) == kept(Quantize(k=10, bins=5), pool())
    assert kept(Quantize(k=10, bins=5), pool()) != kept(Quantize(k=10, bins=5, seed=1), pool())


def test_one_bin_is_a_random_draw_and_bins_of_one_row_all():
    assert len(kept(Quantize(k=7, bins=1), pool())) == 7
    assert sorted(kept(Quantize(k=50, bins=500), pool())) == list(range(50))


def test_a_budget_above_what_is_there_keeps_all():
    assert sorted(kept(Quantize(k=99, bins=3), pool(5))) == list(range(5))


def test_after_a_rule_and_beside_rows_without_embeddings():
    rows = pool()
    whole = set(kept(TopK(20) + Quantize(k=10), rows))
    assert whole < set(range(20)) and len(whole) == 10
    style = np.ones(3, dtype=np.float32)
    style[1] = np.nan
    embeddings = np.array([[1, 0], [np.nan, np.nan], [0, 1]], dtype=np.float16)
    holed = Scored.of_columns(style=style, embeddings=embeddings)
    assert kept(Quantize(k=5, bins=2), holed) == [0, 2]


def test_rows_that_must_stay_count_in_their_bin():
    rows = pool(row=np.arange(50))
    of = bins(rows, 5)
    must = np.flatnonzero(of == of[0])[:4]
    made = (MustKeep([str(n) for n in must], column="row") + Quantize(k=10, bins=5)).select(rows)
    assert set(must) <= set(made.rows)
    drawn = np.bincount(of[made.rows], minlength=5)
    assert drawn[of[0]] == 4 and drawn.sum() == 10 and sorted(drawn)[:4] == [1, 1, 2, 2]


def test_tokens():
    rows = pool(20, tokens=np.full(20, 7))
    assert len(kept(Quantize(tokens=50, bins=2), rows)) == 7


def test_no_record_is_left():
    assert kept(Quantize(k=3), pool(4, style=np.full(4, np.nan))) == []


def test_too_many_records_are_refused_with_what_they_would_need(monkeypatch):
    monkeypatch.setattr(quantize, "MOST", 49)
    with pytest.raises(InputError, match=r"at most 49 records, here are 50: up to 2e\+04 multiplications"):
        Quantize(k=3).select(pool())
    assert len(kept(TopK(49) + Quantize(k=3), pool())) == 3


@pytest.mark.parametrize(
    "settings", [{}, {"k": 1, "bins": 0}, {"k": 1, "lam": -1}, {"k": 1, "seed": -1}, {"k": 1, "bins": 1.5}]
)
def test_bad_settings(settings):
    with pytest.raises(InputError, match="Quantize needs"):
        Quantize(**settings)


def test_it_reads_embeddings():
    assert needs_of(Quantize(k=1)).embeddings
    with pytest.raises(InputError, match="no embeddings"):
        Quantize(k=1).select(Scored.of_columns(style=[1.0]))

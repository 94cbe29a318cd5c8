"""Clusters: quotas, what is kept inside, Coreset's start, rows that must stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.vectors import Vectors
from scar.selection.rules import TopK
from scar.selection.rules.clusters import Clusters
from scar.selection.rules.rule import NOBODY
from scar.selection.scored import Scored
from tests.selection.embedded import families

# Three directions with 60, 30 and 10 records, far apart.
SIZES = (60, 30, 10)


def three(**columns):
    draw = np.random.default_rng(0)
    rows = np.repeat(np.eye(3), SIZES, axis=0) + 0.05 * draw.standard_normal((100, 3))
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Scored.of_columns(**{"style": draw.standard_normal(100), "embeddings": rows, **columns})


def shares(made):
    return np.bincount(np.repeat(np.arange(3), SIZES)[made.rows], minlength=3).tolist()


def test_quotas_are_proportional_or_equal_and_what_is_short_goes_to_others():
    rows = three()
    assert shares(Clusters(k=20, clusters=3).select(rows)) == [12, 6, 2]
    assert shares(Clusters(k=15, clusters=3, quota="equal").select(rows)) == [5, 5, 5]
    assert shares(Clusters(k=60, clusters=3, quota="equal").select(rows)) == [25, 25, 10]
    assert shares(Clusters(k=500, clusters=3).select(rows)) == list(SIZES)


def test_inside_a_cluster_the_best_are_kept_and_the_first_of_them_is_named():
    rows = three()
    made, scores = Clusters(k=20, clusters=3).select(rows), rows.finite()
    for start, size, share in ((0, 60, 12), (60, 30, 6), (90, 10, 2)):
        members = np.arange(start, start + size)
        best = members[np.argsort(-scores[members], kind="stable")]
        assert set(best[:share]) <= set(made.rows.tolist())
        assert set(made.crowded_by[best[share:]]) == {best[0]} and set(made.crowded_by[best[:share]]) == {
            NOBODY
        }


@given(st.integers(1, 130), st.integers(1, 40), st.sampled_from(["proportional", "equal"]), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_quotas_sum_to_the_budget(k, clusters, quota, seed):
    rows = Scored.of_columns(style=np.zeros(100), embeddings=families(100, 3))
    made = Clusters(k=k, clusters=clusters, quota=quota, seed=seed).select(rows)
    assert len(made.rows) == min(k, 100) == len(set(made.rows.tolist()))


def test_one_cluster_is_top_k():
    rows = three()
    assert Clusters(k=17, clusters=1).select(rows).rows.tolist() == TopK(17).select(rows).rows.tolist()


def test_as_many_clusters_as_records_to_keep_give_the_rows_nearest_the_centroids():
    rows = Scored.of_columns(style=np.zeros(150), embeddings=families(150, 5))
    found = k_means(Vectors(rows.embeddings(), np.arange(150)), 12, seed=4)
    made = Clusters(k=12, clusters=12, quota="equal", inside="centroid", seed=4).select(rows)
    assert made.rows.tolist() == sorted(found.central().tolist())


def test_tokens_and_rows_that_must_stay():
    rows = three(tokens=np.random.default_rng(1).integers(1, 30, 100))
    made = Clusters(tokens=400, clusters=3).select(rows)
    assert 390 <= rows.tokens()[made.rows].sum() <= 400
    must = np.zeros(100, dtype=bool)
    must[95:] = True
    made = Clusters(k=20, clusters=3).select(rows.only(rows.eligible, must))
    assert set(range(95, 100)) < set(made.rows.tolist()) and shares(made) == [10, 5, 5]


def test_set_aside_rows_have_no_part():
    rows = three()
    embeddings = rows.embeddings().take(np.arange(100)).astype(np.float16)
    embeddings[:60] = np.nan
    style = rows.finite().copy()
    style[:60] = np.nan
    made = Clusters(k=8, clusters=2).select(Scored.of_columns(style=style, embeddings=embeddings))
    assert shares(made) == [0, 6, 2] and made.facts[0]["clusters"] == 2
    assert (made.crowded_by[:60] == NOBODY).all()


def test_edges():
    rows = three()
    none = np.zeros(100, dtype=bool)
    assert Clusters(k=3).select(rows.only(none)).rows.tolist() == []
    one = none.copy()
    one[5] = True
    assert Clusters(k=3).select(rows.only(one)).rows.tolist() == [5]
    same = Scored.of_columns(style=np.arange(9.0), embeddings=np.ones((9, 2)))
    assert Clusters(k=2, clusters=5).select(same).rows.tolist() == [8, 7]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "needs k or tokens"),
        ({"k": 3, "clusters": 0}, "whole number of clusters"),
        ({"k": 3, "iterations": 1.5}, "whole number of iterations"),
        ({"k": 3, "quota": "even"}, "quotas proportional, equal"),
        ({"k": 3, "inside": "first"}, "one of best, centroid"),
        ({"k": 3, "seed": None}, "seed"),
    ],
)
def test_settings_that_do_not_fit(given_, message):
    with pytest.raises(InputError, match=message):
        Clusters(**given_)

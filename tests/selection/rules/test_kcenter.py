"""KCenter as a rule: budgets, starts, rows that must stay, its limit of memory."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.selection.rules.kcenter import KCenter
from scar.selection.rules.rule import NOBODY
from scar.selection.scored import Scored
from tests.selection.embedded import cosine_matrix, families


def scored(n=200, d=4, **columns):
    columns = {"style": np.random.default_rng(0).standard_normal(n), **columns}
    return Scored.of_columns(embeddings=families(n, d), **columns)


def distances(rows):
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.linalg.norm(unit[:, None] - unit[None], axis=2)


def test_it_covers_and_says_how_well():
    rows = scored()
    made = KCenter(k=20).select(rows)
    apart = distances(families(200, 4))[:, made.rows]
    assert made.facts[0]["radius"] == pytest.approx(apart.min(axis=1).max(), abs=1e-6)
    assert made.facts[0]["mean_distance"] == pytest.approx(apart.min(axis=1).mean(), abs=1e-6)
    dropped = made.crowded_by != NOBODY
    assert dropped.sum() == 180 and not dropped[made.rows].any()
    near = distances(families(200, 4))[np.arange(200), made.crowded_by][dropped]
    np.testing.assert_allclose(near, apart[dropped].min(axis=1), atol=1e-6)
    assert (np.diff(made.scores) <= 0).all()


def test_it_starts_at_the_row_farthest_from_the_mean():
    embeddings = families(200, 4)
    wide = embeddings / np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    farthest = np.linalg.norm(wide - wide.mean(axis=0), axis=1).argmax()
    assert KCenter(k=1).select(scored()).rows.tolist() == [farthest]


def test_a_random_start_follows_its_seed():
    firsts = {int(KCenter(k=1, start="random", seed=seed).select(scored()).rows[0]) for seed in range(20)}
    assert len(firsts) > 10
    again = [KCenter(k=9, start="random", seed=3).select(scored()).rows.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_as_many_centroids_as_records_to_keep_are_the_nearest_rows():
    rows = scored()
    made = KCenter(k=12, start="centroids", clusters=12).select(rows)
    more = KCenter(k=30, start="centroids", clusters=12).select(rows)
    assert len(made.rows) == 12 and set(made.rows) < set(more.rows.tolist())
    assert more.facts[0]["radius"] < made.facts[0]["radius"]


def test_centroids_cover_better_than_as_many_random_seeds():
    rows, centroids, drawn = scored(400), [], []
    for seed in range(8):
        must = np.zeros(400, dtype=bool)
        must[np.random.default_rng(seed).permutation(400)[:12]] = True
        drawn.append(KCenter(k=20).select(rows.only(rows.eligible, must)).facts[0]["radius"])
        central = KCenter(k=20, start="centroids", clusters=12, seed=seed).select(rows)
        centroids.append(central.facts[0]["radius"])
    assert np.mean(centroids) < np.mean(drawn)


def test_rows_that_must_stay_are_the_seeds():
    rows = scored()
    must = np.zeros(200, dtype=bool)
    must[[3, 4, 90]] = True
    made = KCenter(k=5).select(rows.only(rows.eligible, must))
    assert {3, 4, 90} < set(made.rows.tolist()) and len(made.rows) == 5
    apart = distances(families(200, 4))
    others = [row for row in made.rows if not must[row]]
    farthest = apart[:, [3, 4, 90]].min(axis=1).argmax()
    assert farthest in others


def test_a_radius_takes_the_fewest_and_tokens_are_a_budget():
    rows = scored(tokens=np.random.default_rng(1).integers(1, 50, 200))
    made = KCenter(radius=0.7).select(rows)
    assert made.facts[0]["radius"] <= 0.7
    assert KCenter(k=len(made.rows) - 1).select(rows).facts[0]["radius"] > 0.7
    spent = rows.tokens()[KCenter(tokens=300).select(rows).rows].sum()
    assert 300 - rows.tokens().min() < spent <= 300


def test_outliers_are_never_kept():
    # Two directions that nothing else has.
    embeddings = np.zeros((100, 6), dtype=np.float32)
    embeddings[:, :4] = families(100, 4)
    embeddings[40], embeddings[41] = np.eye(6)[4], np.eye(6)[5]
    rows = Scored.of_columns(style=np.zeros(100), embeddings=embeddings)
    assert {40, 41} <= set(KCenter(k=10).select(rows).rows.tolist())
    made = KCenter(k=30, outliers=0.02).select(rows)
    assert not {40, 41} & set(made.rows.tolist()) and made.facts[0]["outliers"] == 2
    assert made.facts[0]["radius"] < 1
    assert len({40, 41} & set(KCenter(k=30, outliers=0.01).select(rows).rows.tolist())) == 1


def test_copies_end_it_early():
    embeddings = np.repeat(np.eye(3), 5, axis=0)
    made = KCenter(k=10).select(Scored.of_columns(style=np.arange(15.0), embeddings=embeddings))
    assert len(made.rows) == 3 and made.facts[0]["radius"] == 0
    assert cosine_matrix(embeddings[made.rows]).tolist() == np.eye(3).tolist()


def test_edges():
    rows, none = scored(), np.zeros(200, dtype=bool)
    assert KCenter(k=3).select(rows.only(none)).rows.tolist() == []
    one = none.copy()
    one[7] = True
    assert KCenter(k=3).select(rows.only(one)).rows.tolist() == [7]
    assert KCenter(k=3, outliers=0.9).select(rows.only(one)).rows.tolist() == [7]
    poor = scored(tokens=np.full(200, 50))
    assert KCenter(tokens=49).select(poor).rows.tolist() == []
    assert KCenter(k=500).select(scored(n=30)).facts[0]["radius"] == 0


def test_it_refuses_to_hold_more_than_its_limit():
    with pytest.raises(
        InputError, match=r"embeddings of 200 records in memory: 3200 bytes .* raise memory_gb"
    ):
        KCenter(k=3, memory_gb=1e-6).select(scored())
    assert len(KCenter(k=3, memory_gb=3200 / 2**30).select(scored()).rows) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs k or tokens"),
        ({"k": 1, "radius": 0.5}, "one of them"),
        ({"radius": 2.5}, "radius from 0 to 2"),
        ({"k": 1, "outliers": 1}, "share of outliers"),
        ({"k": 1, "start": "best"}, "starts from one of mean, random, centroids"),
        ({"k": 1, "start": "centroids"}, "whole number of clusters"),
        ({"k": 1, "clusters": 5}, "whole number of clusters"),
        ({"k": 1, "seed": -1}, "seed"),
        ({"k": 1, "memory_gb": 0}, "memory_gb above 0"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(InputError, match=message):
        KCenter(**settings)

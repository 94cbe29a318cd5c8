"""Which records a report draws, groups and compares: against brute force on small inputs."""

import numpy as np
import pytest

from scar.report.clusters import Clusters, cluster_shares, clusters, names
from scar.report.examples import drawn, tenths
from scar.report.facts import Records, take
from scar.report.flat import flat, principal
from scar.report.shares import Share
from scar.report.twins import Written, contenders, figures, sampled
from scar.runs import Embeddings
from tests.report.made import made_facts

RNG = np.random.default_rng(7)


def made_records(n=40, kept=(), set_aside=()):
    score = [None if k in set_aside else float(s) for k, s in enumerate(RNG.normal(size=n))]
    tokens = [None if k in set_aside else int(t) for k, t in enumerate(RNG.integers(1, 50, n))]
    return Records.of(made_facts(score=score, tokens=tokens, kept=list(kept), pieces=3))


def test_records_are_read_piece_by_piece():
    facts = made_facts(score=[1.0, None, 3.0], tokens=[5, None, 7], kept=[2], pieces=3)
    records = Records.of(facts)
    assert records.scored.tolist() == [True, False, True] and records.kept.tolist() == [False, False, True]
    assert records.tokens.tolist() == [5, 0, 7] and np.isnan(records.score[1])
    assert take(facts.table, ["line", "style"], np.array([0, 2])) == {"line": [1, 3], "style": [1.0, 3.0]}
    assert take(facts.table, ["line"], np.array([], dtype=np.int64)) == {"line": []}


def test_twins_have_as_many_records_or_at_most_as_many_tokens():
    records = made_records(kept=range(9), set_aside=[20, 30])
    found = {each.name: each.choices for each in contenders(records, seed=0)}
    assert list(found) == [
        "pool", "kept", "random, equal rows", "longest, equal rows", "random, equal tokens", "longest, equal tokens",
    ]  # fmt: skip
    assert found["kept"][0].tolist() == list(range(9)) and len(found["pool"][0]) == 38
    assert {len(choice) for choice in (*found["random, equal rows"], *found["longest, equal rows"])} == {9}
    budget = records.tokens[:9].sum()
    for choice in (*found["random, equal tokens"], *found["longest, equal tokens"]):
        assert records.tokens[choice].sum() <= budget
    longest = found["longest, equal rows"][0]
    assert records.tokens[longest].min() >= np.delete(records.tokens, [*longest, 20, 30]).max()
    assert not {20, 30} & {int(n) for choices in found.values() for each in choices for n in each}
    assert len({tuple(each) for each in found["random, equal rows"]}) == 3


def test_nothing_kept_has_no_twins():
    assert [each.name for each in contenders(made_records(), seed=0)] == ["pool"]


def test_figures_are_means_over_the_choices():
    records = made_records(6, kept=[0, 1])
    written = {n: Written((0.1 * n, 2.0 * n, 0.0, float("nan")), same=n // 2, asked=0) for n in range(6)}
    group = Clusters(np.array([0, 1, 1, 2, 2, -1], dtype=np.int16), 3)
    (pool, *_) = contenders(records, seed=0)
    told = figures(pool, records, written, group)
    assert told["records"] == 6 and told["clusters reached"] == 3
    assert told["mean score"] == pytest.approx(records.score.mean(dtype=float))
    assert told["duplicates"] == 1 - 3 / 6 and told["repeated instructions"] == 1 - 1 / 6
    assert told["type-token ratio"] == pytest.approx(0.25) and np.isnan(told["markup share"])
    assert told["words a sentence, deviation"] == pytest.approx(np.std(np.arange(6) * 2))


def test_a_sample_is_the_same_under_one_seed_and_sorted():
    choice = np.arange(100)
    assert (
        sampled(choice, 3, 10).tolist() == sampled(choice, 3, 10).tolist() == sorted(sampled(choice, 3, 10))
    )
    assert set(sampled(choice, 3, 10)) <= set(sampled(choice, 3, 20))


@pytest.mark.parametrize("n", [0, 1, 3, 10, 37])
def test_tenths_are_equal_parts_of_the_order(n):
    scores = np.concatenate([RNG.normal(size=n), [np.nan]]).astype(np.float32)
    of = tenths(scores)
    assert of[-1] == 0 and set(of[:n].tolist()) <= set(range(1, 11))
    order = np.argsort(-scores[:n], kind="stable")
    assert (np.diff(of[:n][order]) <= 0).all() and np.bincount(of[:n], minlength=11)[1:].max(initial=0) <= -(
        -n // 10
    )


def test_equal_scores_fall_into_tenths_by_their_order():
    assert tenths(np.ones(20, dtype=np.float32)).tolist() == [10 - n // 2 for n in range(20)]


def test_examples_are_kept_and_dropped_ones_of_each_tenth():
    records = made_records(200, kept=range(0, 200, 2), set_aside=[5])
    found = drawn(records, seed=1)
    assert len(set(found.records.tolist())) == len(found.records) == 60 and 5 not in found.records
    assert (np.diff(found.tenths) <= 0).all()
    for tenth in range(1, 11):
        some = found.records[found.tenths == tenth]
        assert records.kept[some].sum() == 3 and (np.diff(records.score[some]) <= 0).all()


def test_clusters_find_what_lies_apart_and_are_named_by_their_words():
    centres = np.eye(3)
    of = np.arange(90) % 3
    points = (centres[of] + RNG.normal(scale=0.01, size=(90, 3))).astype(np.float32)
    points[4] = np.nan
    records = made_records(90, kept=np.flatnonzero(of == 1)[2:], set_aside=[4])
    found = clusters(Embeddings.of_array(points), records, seed=0)
    texts = {n: ["the", ("python", "soup", "mars")[n % 3]] for n in range(0, 90, 2) if n != 4}
    named = names(found, texts)
    assert found.of[4] == -1 and found.number == 16
    for number in range(16):
        assert len(set(of[found.of == number].tolist())) == 1
    for n in range(0, 90, 2):
        if n != 4 and ":" in (name := named[found.of[n]]):
            assert ("python", "soup", "mars")[n % 3] in name
    shares = cluster_shares(found, records, named)
    assert shares.pool == 89 and shares.kept == records.kept.sum()


def test_shares_of_clusters_are_counts():
    records = made_records(5, kept=[0, 4])
    found = cluster_shares(Clusters(np.array([0, 1, 1, 1, 0], dtype=np.int16), 2), records, ["1: a", "2: b"])
    assert found.values == (Share("2: b", 3, 0), Share("1: a", 2, 2))


def test_principal_axes_are_those_of_a_singular_value_decomposition():
    points = RNG.normal(size=(60, 5)).astype(np.float32) * [5, 3, 1, 0.5, 0.1]
    axes, mean, explained = principal(points)
    _, s, vt = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    assert np.abs(axes.T) == pytest.approx(np.abs(vt[:2]), abs=1e-5)
    assert explained == pytest.approx((s[:2] ** 2).sum() / (s**2).sum(), abs=1e-6)
    assert mean == pytest.approx(points.mean(axis=0), abs=1e-5)
    assert (axes.max(axis=0) == np.abs(axes).max(axis=0)).all()


def test_a_map_shows_samples_of_the_pool_and_of_what_was_kept():
    records = made_records(50, kept=[7], set_aside=[3])
    points = RNG.normal(size=(50, 4)).astype(np.float32)
    points[3] = np.nan
    found = flat(Embeddings.of_array(points), records, seed=0)
    assert set(found.records.tolist()) == set(range(50)) - {3} and np.isfinite(found.points).all()


@pytest.mark.parametrize("points", [np.ones((3, 4)), np.ones((1, 2)), np.zeros((0, 3))])
def test_equal_points_have_a_map_too(points):
    axes, _, explained = principal(points.astype(np.float32))
    assert axes.shape == (points.shape[1], 2) and explained == pytest.approx(0)

"""Funnel: counts, single top-k, quotas, audits; and that it is read from YAML."""

import json

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.fuse import Fuse
from scar.selection.rules import MustKeep, TopK, needs_of
from scar.selection.rules.funnel import Funnel
from scar.selection.scored import Scored

NAN = float("nan")


def pool(n=100, seed=0, **columns):
    scores = np.random.default_rng(seed).normal(size=(2, n)).astype(np.float32)
    return Scored.of_columns(style=scores[0], quality=scores[1], **columns)


def kept(rule, rows):
    return rule.select(rows).rows.tolist()


def test_counts_match_and_each_stage_narrows_by_its_own_score():
    rule = Funnel([{"by": "quality", "ratio": 0.5}, {"by": "style", "ratio": 0.2}])
    rows = pool()
    quality, style = rows.column("quality"), rows.column("style")
    first = np.argsort(-quality, kind="stable")[:50]
    assert set(kept(rule, rows)) == set(sorted(first, key=lambda n: -style[n])[:10])
    assert rule.select(rows).facts[0]["stages"] == [
        {"in": 100, "out": 50, "audited": 0},
        {"in": 50, "out": 10, "audited": 0},
    ]


@given(st.integers(1, 60), st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.6, 1.0]), min_size=1, max_size=4))
def test_the_same_score_at_each_stage_is_one_top_k(n, ratios):
    k = n
    for ratio in ratios:
        k = -(-k * round(ratio * 100) // 100)
    rows = pool(n, seed=n)
    assert kept(Funnel([{"ratio": ratio} for ratio in ratios]), rows) == kept(TopK(k), rows)


def test_the_product_of_ratios_is_a_single_top_k():
    assert kept(Funnel([{"ratio": 0.5}, {"ratio": 0.2}]), pool()) == kept(TopK(10), pool())


def test_an_audit_lets_a_random_share_of_what_is_dropped_go_on():
    rule = Funnel([{"ratio": 0.2, "audit": 0.05}], seed=3)
    made = rule.select(pool())
    assert made.facts[0]["stages"] == [{"in": 100, "out": 24, "audited": 4}]
    assert set(kept(TopK(20), pool())) < set(made.rows)
    assert kept(rule, pool()) == kept(Funnel([{"ratio": 0.2, "audit": 0.05}], seed=3), pool())
    assert kept(rule, pool()) != kept(Funnel([{"ratio": 0.2, "audit": 0.05}], seed=4), pool())


def test_every_record_is_as_likely_to_be_audited():
    drawn = np.zeros(50)
    for seed in range(400):
        made = Funnel([{"by": "style", "ratio": 0.2, "audit": 0.25}], seed=seed).select(pool(50))
        drawn[made.rows] += 1
    dropped = drawn[drawn < 400]
    # 10 of 40 each time: 100 expected, and a chi-square of 39 degrees of freedom stays below 73 but once in 1,000.
    assert len(dropped) == 40 and ((dropped - 100) ** 2 / 75).sum() < 73


def test_an_audited_record_is_judged_by_the_next_stage():
    rows = Scored.of_columns(style=[4, 3, 2, 1], quality=[0, 0, 9, 9])
    rule = Funnel([{"by": "style", "ratio": 0.5, "audit": 1}, {"by": "quality", "ratio": 0.5}])
    assert kept(rule, rows) == [2, 3]


def test_groups_keep_their_proportions_at_a_stage():
    source = ["a"] * 80 + ["b"] * 20
    rows = Scored.of_columns(style=np.arange(100, 0, -1), source=source)
    made = kept(Funnel([{"ratio": 0.1, "per_group": "source"}]), rows)
    assert made == [*range(8), 80, 81]


def test_clusters_keep_their_proportions_at_a_stage():
    # Two kinds, 80 and 20; without clusters the first kind takes all.
    embeddings = (
        np.repeat(np.eye(3)[:2], [80, 20], axis=0) + np.random.default_rng(0).normal(size=(100, 3)) * 0.05
    )
    rows = Scored.of_columns(style=np.arange(100, 0, -1), embeddings=embeddings)
    rule = Funnel([{"ratio": 0.1, "clusters": 2}])
    assert kept(rule, rows) == [*range(8), 80, 81]
    assert needs_of(rule).embeddings and not needs_of(Funnel([{"ratio": 0.1}])).embeddings
    assert len(kept(Funnel([{"ratio": 0.1, "clusters": 500}]), rows)) == 10


def test_rows_that_must_stay_pass_every_stage():
    rows = pool(row=np.arange(100))
    worst = int(np.argmin(rows.column("style")))
    rule = MustKeep([str(worst)], column="row") + Funnel([{"ratio": 0.5}, {"ratio": 0.02}])
    assert kept(rule, rows) == [worst]


def test_more_rows_that_must_stay_than_the_ratio_gives():
    rule = MustKeep(["1", "2", "3"], column="row") + Funnel([{"ratio": 0.01}])
    assert sorted(kept(rule, pool(row=np.arange(100)))) == [1, 2, 3]


def test_no_record_and_one_record():
    assert kept(Funnel([{"ratio": 0.5, "audit": 0.1}]), Scored.of_columns(style=[NAN, NAN])) == []
    assert kept(Funnel([{"ratio": 0.01}, {"ratio": 0.01}]), Scored.of_columns(style=[1.0])) == [0]


def test_it_is_read_from_yaml_and_written_as_such():
    text = """
    stages:
      - {by: {fuse: rrf, of: {style: 1, quality: 2}}, ratio: 0.6, per_group: source, audit: 0.05}
      - {by: quality, ratio: 0.2}
    seed: 7
    """
    settings = yaml.safe_load(text)
    rule = Funnel(**settings)
    assert rule.orders() == (Fuse("rrf", {"style": 1, "quality": 2}), "quality")
    assert needs_of(rule).columns == ("source",)
    again = Funnel(**json.loads(json.dumps({"stages": rule.stages, "seed": rule.seed})))
    assert again == rule and hash(again) == hash(rule)
    in_python = [rule.parsed[0].by, {"fuse": "rrf", "of": {"style": 1, "quality": 2}}]
    assert Funnel([{"by": in_python[0], "ratio": 1}]) == Funnel([{"by": in_python[1], "ratio": 1}])
    assert str(Funnel([{"ratio": 0.5}])) == "Funnel(stages=[{'ratio': 0.5}])"
    assert len(kept(rule, pool(source=["a", "b"] * 50))) == 13


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "list of stages"),
        ("style", "list of stages"),
        ([0.5], "stage 1 must be a mapping"),
        ([{"ratio": 1}, {"by": "style"}], "stage 2 needs a ratio"),
        ([{"ratio": 0}], "stage 1 needs a ratio"),
        ([{"ratio": 1.5}], "stage 1 needs a ratio"),
        ([{"ratio": 0.5, "keep": 3}], "has no setting 'keep'; it has: by"),
        ([{"ratio": 0.5, "audit": -1}], "audit from 0 to 1"),
        ([{"ratio": 0.5, "per_group": 3}], "per_group must name a column"),
        ([{"ratio": 0.5, "clusters": 0}], "whole number of clusters"),
        ([{"ratio": 0.5, "clusters": 2, "per_group": "source"}], "not both"),
        ([{"ratio": 0.5, "by": 3}], "`by` must name a column"),
        ([{"ratio": 0.5, "by": {"fuse": "sum", "of": {}}}], "stage 1: `by`: fuse: no method"),
    ],
)
def test_bad_stages(stages, message):
    with pytest.raises(InputError, match=message):
        Funnel(stages)


def test_an_unknown_score_and_a_bad_seed():
    with pytest.raises(InputError, match="no column 'nope'"):
        Funnel([{"by": "nope", "ratio": 0.5}]).select(pool())
    with pytest.raises(InputError, match="seed"):
        Funnel([{"ratio": 0.5}], seed=-1)

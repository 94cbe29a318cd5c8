"""What a run lacks: values, columns, embeddings; told early, or handled as it is said."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.rules import (
    Clusters,
    Diverse,
    KCenter,
    MustKeep,
    NearDuplicates,
    PerGroup,
    Rebalance,
    Scored,
    TokenBudget,
    TopK,
)
from scar.runs import Embeddings
from scar.selection.audit.audit import radius
from scar.selection.keep import select
from scar.selection.rules import Chain
from scar.selection.rules.rule import selection
from tests.make import write_jsonl
from tests.selection.made import make_run

SOURCES = [None, "a", "b", "a", None, "b", "a", None]


@pytest.fixture
def run(tmp_path):
    """Eight rows in chunks of three; the run's own column source comes from the pool where it is carried."""
    rows = [
        {"instruction": "i", "response": f"r{n}"} | ({"source": s} if s else {})
        for n, s in enumerate(SOURCES)
    ]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    return make_run(
        tmp_path / "run",
        pool,
        {"style": np.arange(8.0).tolist()},
        more={"style_tokens": [10] * 8, "lang": SOURCES},
    )


@pytest.mark.parametrize(
    ("rule", "kept"), [(PerGroup("lang", 1), [7, 6, 5]), (Rebalance("lang", k=3, temperature=0.0), [7, 6, 5])]
)
def test_rows_without_a_value_are_one_group_though_they_stand_in_several_chunks(run, tmp_path, rule, kept):
    assert rule.select(Scored.of_run(run)).rows.tolist() == kept
    assert select(run, rule, tmp_path / "kept.jsonl").kept == 3


def test_what_must_stay_counts_in_its_group():
    rows = Scored.of_columns(style=[1.0, 2.0, 3.0], id=["x", "y", "z"], source=["a", "a", "b"])
    assert (MustKeep(["x"]) + PerGroup("source", 1)).select(rows).rows.tolist() == [2, 0]


class Nothing:
    """A rule of a user's own that keeps nothing, also of what must stay."""

    def select(self, rows):
        made = selection(self, rows, np.zeros(len(rows), dtype=bool))
        made.reasons[rows.must] = 0
        return made


def test_a_rule_of_ones_own_drops_nothing_that_must_stay():
    rows = Scored.of_columns(style=[1.0, 2.0], id=["x", "y"])
    assert Chain((MustKeep(["x"]), Nothing())).select(rows).rows.tolist() == [0]


def test_a_chain_of_chains_is_one_chain():
    assert Chain((TopK(3) + TopK(2), TopK(1))) == TopK(3) + TopK(2) + TopK(1)


@pytest.mark.parametrize(
    ("rule", "by", "message"),
    [
        (NearDuplicates() + Rebalance("topic", k=2), None, "no column 'topic'.*--carry topic"),
        (NearDuplicates() + Diverse(k=2), None, "no embeddings.*--embeddings"),
        (NearDuplicates() + TopK(2, by="qualty"), None, "no score 'qualty'; there are: style, style_tokens"),
        (TopK(2), "nope", "no score 'nope'"),
    ],
)
def test_what_a_later_stage_lacks_is_told_before_the_first_begins(
    run, tmp_path, monkeypatch, rule, by, message
):
    monkeypatch.setattr(NearDuplicates, "select", lambda *_: pytest.fail("it began"))
    with pytest.raises(InputError, match=message):
        select(run, rule, tmp_path / "kept.jsonl", by=by)


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        (TopK(9), "asked for 9, there were only 8: all of them are kept"),
        (Rebalance("lang", k=9, cap=1), "asked for 9, there were only 8: 3 of them are kept"),
        (TokenBudget(900), "TokenBudget(tokens=900): all of the 8 records that were left fit the budget"),
    ],
)
def test_a_budget_above_what_there_is_says_what_became_of_it(run, tmp_path, rule, note):
    assert note in select(run, rule, tmp_path / "kept.jsonl").notes


def test_all_kept_leave_no_radius_and_a_record_without_an_embedding_is_an_error():
    vectors = np.random.default_rng(0).normal(size=(200, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    every = np.arange(200)
    assert radius(Embeddings.of_array(vectors), every, every) == 0
    vectors[7] = np.nan
    with pytest.raises(InputError, match="record 7"):
        radius(Embeddings.of_array(vectors), every, every[:3])


def test_the_radius_of_the_audit_is_that_of_the_rule():
    vectors = np.random.default_rng(0).normal(size=(60, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    rows = Scored.of_columns(style=np.zeros(60), embeddings=vectors)
    made = KCenter(k=9).select(rows)
    assert made.facts[0]["radius"] == pytest.approx(
        radius(rows.embeddings(), np.arange(60), made.rows), abs=1e-5
    )
    assert len(Clusters(k=9, clusters=3).select(rows).rows) == 9

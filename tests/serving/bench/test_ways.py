"""Other ways to batch give the same scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.records import Record
from scar.serving.bench.ways import ArrivalOrder, EachAnew, arrival_batches, repeated
from scar.serving.scorer import Scorer
from scar.settings import Scoring
from tests.make import pool_rows


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_batches_in_order_of_arrival_keep_order_and_budget(lengths, budget):
    lengths = np.asarray(lengths, dtype=np.int64)
    batches = list(arrival_batches(lengths, budget))
    assert np.concatenate([*batches, np.zeros(0, int)]).tolist() == list(range(len(lengths)))
    for batch, after in zip(batches, [*batches, None][1:], strict=True):
        assert len(batch) == 1 or lengths[batch].max() * len(batch) <= budget
        if after is not None:  # full: the next text would not have fitted
            assert max(lengths[batch].max(), lengths[after[0]]) * (len(batch) + 1) > budget


@pytest.fixture(scope="module", params=["bundle", "quality_bundle"])
def scorer(request):
    return Scorer.load(request.getfixturevalue(request.param), Scoring(batch_tokens=64, threads=1))


@pytest.fixture(scope="module")
def pairs(scorer):
    records = [Record.plain(row["instruction"], row["response"]) for row in pool_rows(20)]
    return scorer.encode(records).pairs


@pytest.mark.parametrize("way", [ArrivalOrder, EachAnew])
def test_scores_do_not_depend_on_the_way(scorer, pairs, way):
    assert np.allclose(way(scorer.model).score(pairs), scorer.model.score(pairs), atol=1e-6)


def test_each_text_anew_is_more_tokens_and_arrival_more_padding(bundle):
    scorer = Scorer.load(bundle, Scoring(batch_tokens=64, threads=1))
    records = [Record.plain(row["instruction"], row["response"]) for row in pool_rows(20)]
    pairs, told = scorer.encode(records).pairs, {}
    for name, model in (
        ("run", scorer.model),
        ("arrival", ArrivalOrder(scorer.model)),
        ("anew", EachAnew(scorer.model)),
    ):
        loads = []
        model.score(pairs, lambda tokens, padded, loads=loads: loads.append((tokens, padded)))
        told[name] = np.sum(loads, axis=0).tolist()
    assert told["arrival"][0] == told["run"][0] and told["arrival"][1] > told["run"][1]
    assert told["anew"][0] == int(pairs.lengths.sum()) > told["run"][0]


def test_repeated_pairs_share_no_text(pairs):
    apart = repeated(pairs)
    assert len(apart.tokens) == apart.texts.size == np.unique(apart.texts).size
    assert apart.lengths.tolist() == pairs.lengths.tolist()
    assert repeated(pairs.take(np.arange(0))).texts.shape[0] == 0

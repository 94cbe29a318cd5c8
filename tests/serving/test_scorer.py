"""Scorer: a score is a function of the row alone, in input order, and a row without one says why."""

import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from scar import Record, Scorer
from scar.errors import InputError
from scar.records import Turn
from scar.settings import Scoring
from scar.tokens import length_batches
from tests.make import pool_rows


@pytest.fixture(scope="module", params=["reference", "fused"])
def scorer(request, bundle):
    return Scorer.load(bundle, Scoring(graph=request.param))


@pytest.fixture(scope="module")
def rows():
    return pool_rows(64)


def test_a_score_is_a_function_of_the_row_alone(scorer, rows):
    together = scorer.score(rows)
    alone = np.concatenate([scorer.score([row]) for row in rows])
    order = np.random.default_rng(0).permutation(64)
    shuffled = scorer.score([rows[n] for n in order])
    pairs = scorer.encode([Record.plain(row["instruction"], row["response"]) for row in rows]).pairs
    padded = scorer._model.score_in(pairs, length_batches(pairs.tokens.lengths, 4096), width=128)
    assert together.std() > 0.01
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)
    np.testing.assert_allclose(padded, together, atol=1e-5)


@hypothesis(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(budget=st.integers(1, 400), n=st.integers(1, 12))
def test_no_token_budget_changes_a_score(bundle, rows, budget, n):
    want = Scorer.load(bundle).score(rows[:n])
    np.testing.assert_allclose(
        Scorer.load(bundle, Scoring(batch_tokens=budget)).score(rows[:n]), want, atol=1e-5
    )


def test_no_rows_give_no_scores(scorer):
    assert scorer.score([]).shape == (0,) and scorer.explain([]) == []


def test_a_row_without_a_score_is_nan_and_counted(scorer, caplog):
    rows = [
        {"instruction": "what", "response": "a list"},
        {"instruction": "what", "response": None},
        {"instruction": "what", "response": " "},
    ]
    with caplog.at_level(logging.WARNING, logger="scar"):
        scores = scorer.score(rows)
    assert np.isnan(scores).tolist() == [False, True, True]
    assert "2 of 3 rows" in caplog.text
    with pytest.raises(InputError, match="row 1 .*missing_response"):
        scorer.score(rows, strict=True)


def test_explain_says_what_score_hides(scorer):
    long = {"instruction": "what", "response": "list " * 99}
    good, bad = scorer.explain([long, {"instruction": "what", "response": 3}])
    assert (
        good.truncated
        and good.tokens == 32 + 3
        and good.score == pytest.approx(float(scorer.score([long])[0]))
    )
    assert bad.score is None and bad.reason == "response_not_text"


def test_messages_and_records_are_rows_too(scorer):
    messages = {
        "messages": [{"role": "user", "content": "what is a list"}, {"role": "assistant", "content": "items"}]
    }
    plain = {"instruction": "what is a list", "response": "items"}
    record = Record((Turn("user", "what is a list"),), "items")
    scores = scorer.score([messages, plain, record])
    assert scores[0] == scores[1] == scores[2]


def test_a_non_finite_score_is_run_alone_and_then_given_up(scorer, rows):
    pairs = scorer.encode([Record.plain(row["instruction"], row["response"]) for row in rows[:8]]).pairs

    class Sick:
        """Fails on pair 3 in company, and on pair 5 always."""

        def __init__(self):
            self.alone = 0

        def score(self, some, on_batch=None):
            scores = scorer._model.score(some, on_batch)
            if len(scores) == 8:
                scores[[3, 5]] = np.nan
            else:
                self.alone += 1
                if len(some.tokens) and np.isclose(scores[0], want[5]):
                    scores[:] = np.inf
            return scores

    want = scorer._model.score(pairs)
    sick = Scorer(scorer.bundle, scorer.choice, scorer.encoder, Sick(), scorer.scoring, scorer.files)
    found = sick.score_pairs(pairs)
    assert sick._model.alone == 2
    assert np.isnan(found.scores).tolist() == [n == 5 for n in range(8)]
    np.testing.assert_allclose(found.scores[3], want[3], atol=1e-5)


def test_the_fused_graph_is_chosen_by_its_gate_and_can_be_declined(bundle):
    assert Scorer.load(bundle).choice.graph == "tower.fused.onnx"
    assert "gate passed" in Scorer.load(bundle).choice.why
    assert Scorer.load(bundle, Scoring(graph="reference")).choice.graph == "tower.onnx"

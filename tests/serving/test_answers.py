"""--turns each: every answer of a dialogue is scored by itself, and their scores become one."""

import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar import Record, Scorer, score_pool
from scar.formats import Layout, expand
from scar.records import NOWHERE, SetAside, Turn
from scar.serving import answers as module
from scar.settings import Reading, Scoring
from tests.make import sentence, write_jsonl

TALK = [
    ("system", "be kind"),
    ("user", "what is a list"),
    ("assistant", "a list is items in order"),
    ("user", "and a dict"),
    ("assistant", ""),
    ("user", "well"),
    ("assistant", "clearly a dict is keys"),
    ("tool", "42"),
    ("assistant", "whatever"),
    ("user", "thanks"),
]


def row(talk):
    return {"messages": [{"role": role, "content": text} for role, text in talk]}


def record(talk):
    (item,) = expand(row(talk), Layout("messages"), NOWHERE, "each")
    return item


def by_hand(scorer, talk):
    """Score each answer that is not empty alone, with all that was said before it."""
    turns = [Turn(*turn) for turn in talk]
    return scorer.score(
        [Record(tuple(turns[:n]), t.text) for n, t in enumerate(turns) if t.role == "assistant" and t.text]
    )


@pytest.mark.parametrize(
    ("name", "of"), [("mean", np.mean), ("min", np.min), ("last", lambda scores: scores[-1])]
)
def test_the_score_of_a_dialogue_is_that_of_its_answers_one_by_one(bundle, name, of):
    scorer = Scorer.load(bundle, Scoring(aggregate=name))
    short = TALK[:3]
    own = by_hand(scorer, TALK)
    assert len(own) == 3 and own.std() > 1e-3
    found = scorer.score_records([record(TALK), record(short), record(TALK)])
    np.testing.assert_allclose(found.scores, [of(own), by_hand(scorer, short)[0], of(own)], atol=1e-5)


def test_tokens_are_those_of_all_answers_and_truncation_of_any(bundle):
    scorer = Scorer.load(bundle)
    turns = [Turn(*turn) for turn in TALK]
    alone = scorer.score_records([Record(tuple(turns[:n]), turns[n].text) for n in (2, 6, 8)])
    both = scorer.score_records([record(TALK), record(TALK[:3])])
    assert both.tokens.tolist() == [alone.tokens.sum(), alone.tokens[0]]
    long = [*TALK[:2], ("assistant", "list " * 99), *TALK[3:]]
    assert scorer.score_records([record(long)]).truncated[0]


def test_a_dialogue_of_one_answer_scores_as_by_its_last(bundle, tmp_path):
    pool = write_jsonl(tmp_path / "p.jsonl", [row(TALK[:3]), row(TALK[1:3])])
    for turns in ("last", "each"):
        score_pool(pool, bundle, tmp_path / turns, reading=Reading(turns=turns))
    last, each = (pq.read_table(tmp_path / turns / "chunks") for turns in ("last", "each"))
    assert last.equals(each)


def test_of_very_many_answers_the_last_are_scored_and_it_is_said(bundle, monkeypatch):
    monkeypatch.setattr(module, "MOST_ANSWERS", 2)
    scorer = Scorer.load(bundle)
    found = scorer.score_records([record(TALK), record(TALK[:7]), record(TALK[:3])])
    own = by_hand(scorer, TALK)
    np.testing.assert_allclose(found.scores[0], own[1:].mean(), atol=1e-5)
    np.testing.assert_allclose(found.scores[1], own[:2].mean(), atol=1e-5)
    assert found.truncated.tolist()[0] and len(record(TALK[:7]).answers) == 1
    monkeypatch.setattr(module, "MOST_ANSWERS", 256)
    assert (
        found.truncated.tolist()[1:]
        == scorer.score_records([record(TALK[:7]), record(TALK[:3])]).truncated.tolist()
    )


def test_what_answers_nothing_is_not_scored():
    greeting = [
        ("assistant", "hello"),
        ("user", "what"),
        ("assistant", "one"),
        ("user", "and"),
        ("assistant", "two"),
    ]
    assert record(greeting).answers == (2,)
    assert (
        record([("system", "s"), ("assistant", "hello"), ("user", "what"), ("assistant", "one")]).answers
        == ()
    )
    assert record([("user", " "), ("assistant", "no"), ("user", "what"), ("assistant", "yes")]).answers == ()


def test_a_last_answer_that_is_empty_sets_the_row_aside():
    assert isinstance(record([*TALK, ("assistant", " ")]), SetAside)


def test_a_dialogue_of_3000_turns_is_scored_in_good_time(bundle):
    talk = [(("user", "assistant")[n % 2], sentence(n, 12)) for n in range(3000)]
    scorer, started = Scorer.load(bundle), time.perf_counter()
    found = scorer.score_records([record(talk)])
    assert np.isfinite(found.scores[0]) and found.truncated[0]
    assert time.perf_counter() - started < 10

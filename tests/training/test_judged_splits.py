"""Splits of judged rows: every label in every part, no copy of a held-out response in the training part."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.records import Judged, Turn
from scar.settings import Reading
from scar.training.duplicates import LONG, without_duplicates
from scar.training.splits import instruction_key, read_judged_splits
from tests.make import write_jsonl


def rows(n, good=2, answers=1):
    """Make rows of n instructions, every `good`th with label 1; each response is its own."""
    return [
        {
            "instruction": f"question {q}",
            "response": f"the answer of number {q}, take {a}",
            "label": int(q % good == 0),
        }
        for q in range(n)
        for a in range(answers)
    ]


def split(path, validation=None, test=None, shares=(0.2, 0.2), seed=1, **more):
    return read_judged_splits(path, validation, test, shares=shares, seed=seed, reading=Reading(), **more)


def parts(found):
    return found.train, found.validation, found.test


def row(instruction="q", *responses, **more):
    return Judged((Turn("user", instruction),), responses or ("r",), **more)


def test_no_instruction_stands_on_two_sides_and_no_row_is_lost(tmp_path):
    found = split(write_jsonl(tmp_path / "a.jsonl", rows(30, answers=3)))
    keys = [{instruction_key(row) for row in part} for part in parts(found)]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 30
    assert [len(part) for part in parts(found)] == [54, 18, 18]
    assert found.counts() == {
        "train": 54,
        "validation": 18,
        "test": 18,
        "set_aside": 0,
        "eval_only": 0,
        "leaked": 0,
        "duplicates": 0,
        "repeats": 0,
    }


@pytest.mark.parametrize("seed", range(10))
def test_a_rare_label_stands_in_every_part(tmp_path, seed):
    found = split(write_jsonl(tmp_path / "a.jsonl", rows(60, good=20)), seed=seed, shares=(0.1, 0.1))
    assert [Counter(row.label for row in part)[1.0] for part in parts(found)] == [1, 1, 1]
    assert all(Counter(row.label for row in part)[0.0] for part in parts(found))


def test_each_label_has_its_share_of_each_part(tmp_path):
    found = split(write_jsonl(tmp_path / "a.jsonl", rows(100, good=4)))
    assert [Counter(row.label for row in part) for part in parts(found)] == [
        {1.0: 15, 0.0: 45},
        {1.0: 5, 0.0: 15},
        {1.0: 5, 0.0: 15},
    ]


def test_a_label_too_rare_for_every_part_is_trained_on(tmp_path):
    data = [*rows(20, good=1000)[1:], *rows(1)]
    found = split(write_jsonl(tmp_path / "a.jsonl", data))
    assert Counter(row.label for row in found.train)[1.0] == 1


def test_instructions_of_too_few_rows_of_each_label_are_cut_together(tmp_path):
    found = split(write_jsonl(tmp_path / "a.jsonl", rows(4)))  # two instructions a label
    assert [len(part) for part in parts(found)] == [2, 1, 1]
    with pytest.raises(InputError, match="2 different instructions are too few"):
        split(write_jsonl(tmp_path / "b.jsonl", rows(2)))


def test_file_order_does_not_decide(tmp_path):
    one = split(write_jsonl(tmp_path / "a.jsonl", rows(30)))
    two = split(write_jsonl(tmp_path / "b.jsonl", rows(30)[::-1]))
    assert {instruction_key(row) for row in one.test} == {instruction_key(row) for row in two.test}


def test_rows_for_evaluation_only_are_left_out_but_stay_in_a_given_test_file(tmp_path):
    data = write_jsonl(tmp_path / "a.jsonl", [*rows(20), *(r | {"eval_only": True} for r in rows(5))])
    test = write_jsonl(
        tmp_path / "t.jsonl",
        [{"instruction": "elsewhere", "response": "x", "label": 1, "eval_only": True}],
    )
    found = split(data, test=test, shares=(0.2, 0.2))
    assert (found.eval_only, len(found.test)) == (5, 1)
    assert not any(row.eval_only for row in [*found.train, *found.validation])


def test_no_epoch_is_chosen_by_rows_for_evaluation_only(tmp_path):
    data = write_jsonl(tmp_path / "a.jsonl", rows(20))
    spared = [row | {"instruction": f"other {n}", "eval_only": 1} for n, row in enumerate(rows(6))]
    free = [row | {"instruction": f"free {n}"} for n, row in enumerate(rows(4))]
    found = split(data, validation=write_jsonl(tmp_path / "v.jsonl", [*spared, *free]), shares=(0.0, 0.0))
    assert (found.eval_only, [row.turns[0].text for row in found.validation]) == (
        6,
        [row["instruction"] for row in free],
    )
    with pytest.raises(InputError, match=r"w\.jsonl: all 6 rows are eval_only"):
        split(data, validation=write_jsonl(tmp_path / "w.jsonl", spared), shares=(0.0, 0.0))


def test_instructions_of_both_given_parts_are_told(tmp_path, caplog):
    data = write_jsonl(tmp_path / "a.jsonl", rows(20))
    one, two = (write_jsonl(tmp_path / f"{n}.jsonl", rows(5)[n:]) for n in (0, 2))
    split(data, validation=one, shares=(0.0, 0.2))
    assert not caplog.text
    split(data, validation=one, test=two, shares=(0.0, 0.0))
    assert "3 instructions stand in the validation and in the test file" in caplog.text


def test_rows_that_stand_in_the_test_file_leave_by_instruction_or_by_response(tmp_path):
    held = {"instruction": "QUESTION  3", "response": "The Answer of number 7,  take 0", "label": 1}
    test = write_jsonl(tmp_path / "t.jsonl", [held])
    found = split(write_jsonl(tmp_path / "a.jsonl", rows(20)), test=test, shares=(0.0, 0.0))
    assert (found.leaked, found.removed) == (1, {"duplicates": 1, "repeats": 0})
    assert {"question 3", "question 7"} == {f"question {n}" for n in range(20)} - set(
        map(instruction_key, found.train)
    )


def test_a_short_response_may_stand_in_both_parts():
    short, long = "x" * LONG, "x" * (LONG + 1)
    assert len(without_duplicates([row("a", short)], [row("b", short)])[0]) == 1
    assert without_duplicates([row("a", long)], [row("b", long)]) == ([], {"duplicates": 1, "repeats": 0})


def test_a_pair_leaves_where_either_response_is_held_out():
    held = [row("a", "good " * 9, "bad " * 9)]
    train = [row("b", "bad " * 9, "other"), row("c", "another", "Good " * 9), row("d", "x", "y")]
    assert without_duplicates(train, held) == (train[2:], {"duplicates": 2, "repeats": 0})


def test_only_the_first_of_equal_rows_stays_and_another_judgement_is_another_row():
    train = [
        row("Q", "r", label=1.0),
        row("q ", "R", label=1.0),
        row("q", "r", label=0.0),
        row("p", "r", label=1.0),
    ]
    kept, removed = without_duplicates(train, [])
    assert (kept, removed) == ([train[0], train[2], train[3]], {"duplicates": 0, "repeats": 1})
    pairs = [row("q", "a", "b"), row("q", "b", "a"), row("q", "a", "b", margin=0.5), row("q", "a", "b")]
    assert without_duplicates(pairs, [])[0] == pairs[:3]


TEXTS = st.sampled_from(["one", "TWO", "two", "a long answer of many words", "A long answer  of many words"])
ROWS = st.lists(
    st.builds(lambda q, r, y: row(q, r, label=y), TEXTS, TEXTS, st.sampled_from([0.0, 1.0])), max_size=20
)


@given(ROWS, ROWS)
def test_every_row_that_leaves_is_counted_once_and_none_is_left_to_leave(train, held):
    kept, removed = without_duplicates(train, held)
    assert len(kept) + sum(removed.values()) == len(train)
    assert without_duplicates(kept, held) == (kept, {"duplicates": 0, "repeats": 0})


def test_a_training_part_of_which_nothing_is_left_is_an_error(tmp_path):
    data = write_jsonl(tmp_path / "a.jsonl", rows(1))
    test = write_jsonl(tmp_path / "t.jsonl", [rows(1)[0] | {"instruction": "other"}])
    with pytest.raises(InputError, match="every response stands in the validation or test part too"):
        split(data, test=test, shares=(0.0, 0.0))


def test_rows_without_the_wanted_judgement_are_set_aside_and_told(tmp_path):
    data = write_jsonl(tmp_path / "a.jsonl", [*rows(20), {"instruction": "q", "response": "r", "score": 3}])
    assert split(data, wanted="labels").set_aside == 1
    assert split(data).set_aside == 0
    with pytest.raises(InputError, match=r"no row with a label.*20 rows were set aside.*'score' is missing"):
        split(write_jsonl(tmp_path / "b.jsonl", rows(20)), wanted="graded")


def test_preferences_without_their_prompt_column_name_the_remedy(tmp_path):
    data = write_jsonl(tmp_path / "a.jsonl", [{"question": "q", "chosen": "a", "rejected": "b"}])
    with pytest.raises(InputError, match="--columns prompt=NAME"):
        split(data)

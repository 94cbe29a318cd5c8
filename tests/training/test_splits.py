"""Splits: no instruction on two sides, nothing that is for evaluation only, everything counted."""

import pytest

from scar.errors import InputError
from scar.settings import Reading
from scar.training.splits import instruction_key, read_splits
from tests.make import tier_rows, write_jsonl

READING = Reading(format="tiers")


def split(path, validation=None, test=None, shares=(0.2, 0.2), seed=1):
    return read_splits(path, validation, test, shares=shares, seed=seed, reading=READING)


def keys(rows):
    return {instruction_key(row) for row in rows}


def test_no_instruction_stands_on_two_sides(tmp_path):
    rows = tier_rows(40) + [row | {"instruction": row["instruction"].upper() + "  "} for row in tier_rows(40)]
    found = split(write_jsonl(tmp_path / "t.jsonl", rows))
    sides = [keys(found.train), keys(found.validation), keys(found.test)]
    assert (
        sum(map(len, sides))
        == len(set.union(*sides))
        == len({" ".join(r["instruction"].casefold().split()) for r in rows})
    )
    assert len(found.train) + len(found.validation) + len(found.test) == 80
    assert len(found.validation) and len(found.test)


def test_the_seed_decides_and_file_order_does_not(tmp_path):
    rows = tier_rows(30)
    one = split(write_jsonl(tmp_path / "a.jsonl", rows))
    two = split(write_jsonl(tmp_path / "b.jsonl", rows[::-1]))
    other = split(write_jsonl(tmp_path / "c.jsonl", rows), seed=2)
    assert keys(one.test) == keys(two.test) != keys(other.test)


def test_rows_for_evaluation_only_are_never_trained_on(tmp_path):
    rows = tier_rows(20) + tier_rows(5, seed=1, eval_only=True)
    found = split(write_jsonl(tmp_path / "t.jsonl", rows))
    assert found.eval_only == 5
    assert not any(row.eval_only for row in [*found.train, *found.validation, *found.test])


def test_training_rows_that_stand_in_a_given_part_leave(tmp_path):
    rows = tier_rows(20)
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    held = write_jsonl(tmp_path / "v.jsonl", rows[:3])
    found = split(data, validation=held, shares=(0.2, 0.0))
    assert not keys(found.train) & keys(found.validation)
    assert found.leaked == len([r for r in rows if r["instruction"] in {x["instruction"] for x in rows[:3]}])
    assert found.test == []


def test_set_aside_rows_are_counted(tmp_path):
    found = split(
        write_jsonl(tmp_path / "t.jsonl", [*tier_rows(20), b"{broken", {"instruction": "q", "responses": {}}])
    )
    assert found.set_aside == 2


def test_a_file_without_one_usable_row_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no row"):
        split(write_jsonl(tmp_path / "t.jsonl", [{"instruction": "q", "responses": {"direct": None}}]))

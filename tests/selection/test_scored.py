"""Columns as the rules see them."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.selection.rules import PerGroup, TopK
from scar.selection.scored import Scored
from tests.make import write_jsonl
from tests.selection.made import make_run


@pytest.fixture
def pool(tmp_path):
    rows = [{"instruction": "i", "response": f"r{n}"} for n in range(7)]
    return write_jsonl(tmp_path / "pool.jsonl", [*rows[:4], b"not json", *rows[4:]])


def test_a_nan_in_memory_is_not_eligible():
    assert Scored.of_columns(style=[1.0, np.nan, 2.0]).eligible.tolist() == [True, False, True]


def test_rows_without_a_value_are_one_group():
    groups = Scored.of_columns(style=[0.0] * 5, source=["a", None, "b", None, "a"]).groups("source")
    assert groups[1] == groups[3] and groups[0] == groups[4]
    assert len({groups[0], groups[1], groups[2]}) == 3


def test_groups_may_be_numbers():
    groups = Scored.of_columns(style=[0.0] * 3, year=[1999, 2000, 1999]).groups("year")
    assert groups[0] == groups[2] != groups[1]


def test_an_unknown_column_is_named_with_those_there_are():
    with pytest.raises(InputError, match="'quality'.*style"):
        Scored.of_columns(style=[1.0]).column("quality")


@pytest.mark.parametrize("values", [["a"], [True], [None]])
def test_a_column_that_is_not_numbers_cannot_order(values):
    with pytest.raises(InputError, match="'source' holds"):
        Scored.of_columns(style=[1.0], source=values).column("source")


def test_only_narrows_what_is_eligible_and_keeps_the_rest():
    scored = Scored.of_columns(style=[1.0, 2.0, 3.0])
    fewer = scored.only(np.asarray([True, False, False]))
    assert TopK(9).select(fewer).rows.tolist() == [0]
    assert scored.eligible.all() and len(fewer) == 3


def test_a_run_is_read_across_its_chunks_in_order(pool, tmp_path):
    scored = Scored.of_run(make_run(tmp_path / "run", pool, {"style": [3, 1, 2, 9, 8, 7, 6]}, chunk_rows=3))
    np.testing.assert_array_equal(scored.column(), np.float32([3, 1, 2, 9, np.nan, 8, 7, 6]))
    assert scored.eligible.tolist() == [n != 4 for n in range(8)]


def test_a_run_can_be_grouped_by_its_file(tmp_path):
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", [{"instruction": "i", "response": str(n)} for n in range(4)])
    run = make_run(tmp_path / "run", tmp_path, {"style": range(8)}, chunk_rows=3)
    assert PerGroup("file", 1).select(Scored.of_run(run)).rows.tolist() == [7, 3]


def test_several_rankers_need_a_choice(pool, tmp_path):
    run = make_run(tmp_path / "run", pool, {"style": range(7), "quality": range(7, 0, -1)})
    with pytest.raises(InputError, match="style, quality: say --by"):
        Scored.of_run(run)
    assert TopK(1).select(Scored.of_run(run, "quality")).rows.tolist() == [0]


def test_a_column_that_was_not_carried_is_named_with_the_remedy(pool, tmp_path):
    run = make_run(tmp_path / "run", pool, {"style": range(7)})
    with pytest.raises(InputError, match="no column 'source'.*--carry source"):
        PerGroup("source", 1).select(Scored.of_run(run))


def test_a_missing_chunk_is_a_damaged_run(pool, tmp_path):
    run = make_run(tmp_path / "run", pool, {"style": range(7)})
    (run / "chunks" / "00000001.parquet").unlink()
    with pytest.raises(InputError, match="00000001.parquet: missing"):
        Scored.of_run(run)

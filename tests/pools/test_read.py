"""Rows of any file become records, each with its address."""

import json

import pytest

from scar.errors import InputError
from scar.pools import RowReader, find, read_pool, read_tiers, rows_of
from scar.pools.read import PEEK
from scar.records import Address, Reason, Record, SetAside
from scar.settings import Reading
from tests.make import pool_rows, tier_rows, write_jsonl
from tests.pools.made import ROW, write


def test_rows_are_numbered_through_the_whole_pool(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", pool_rows(3))
    write(tmp_path / "b.jsonl", b"\n" + ROW + b"\nbad\n" + ROW)
    assert [item.address for item in read_pool(tmp_path)] == [
        Address(0, "a.jsonl", 1),
        Address(1, "a.jsonl", 2),
        Address(2, "a.jsonl", 3),
        Address(3, "b.jsonl", 2),
        Address(4, "b.jsonl", 3),
        Address(5, "b.jsonl", 4),
    ]


def test_files_of_one_pool_may_have_different_layouts(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", pool_rows(1))
    write_jsonl(tmp_path / "b.jsonl", tier_rows(1))
    assert [item.part for item in read_pool(tmp_path)] == [None, "human", "referenced", "direct"]


def test_two_rows_of_one_id_are_two_records(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "x", "instruction": "Ask.", "response": "A"}] * 2)
    assert [(item.id, item.address.row) for item in read_pool(path)] == [("x", 0), ("x", 1)]


def test_strict_stops_at_the_first_row_set_aside_and_says_where(tmp_path):
    path = write(tmp_path / "a.jsonl", ROW + b"\n\nbad\n[]\n")
    read = read_pool(path, Reading(strict=True))
    assert isinstance(next(read), Record)
    with pytest.raises(InputError, match="a.jsonl, line 3: invalid_json"):
        next(read)


def test_responses_picks_one_response_of_each_row(tmp_path):
    rows = [*tier_rows(2), {"id": "x", "instruction": "Ask.", "responses": {"human": "H"}}]
    items = list(read_pool(write_jsonl(tmp_path / "a.jsonl", rows), Reading(responses="direct")))
    assert [item.response for item in items[:2]] == [row["responses"]["direct"] for row in rows[:2]]
    assert (items[2].reason, items[2].id) == (Reason.MISSING_RESPONSE, "x")
    assert "'direct'" in items[2].detail


def test_responses_leaves_rows_of_one_response_alone_but_is_refused_where_all_are_such(tmp_path):
    write(tmp_path / "a.jsonl", ROW)
    with pytest.raises(InputError, match="--responses direct: the rows are plain, which have one response"):
        list(read_pool(tmp_path, Reading(responses="direct")))
    write_jsonl(tmp_path / "b.jsonl", tier_rows(1))
    assert [item.part for item in read_pool(tmp_path, Reading(responses="direct"))] == [None, "direct"]


def test_a_mistyped_response_is_told_also_where_a_preference_file_is_long(tmp_path):
    rows = [{"prompt": "Ask.", "chosen": "Good.", "rejected": "Bad."}] * (PEEK + 1)
    with pytest.raises(InputError, match="--responses choosen: .* there are: 'chosen', 'rejected'"):
        list(read_pool(write_jsonl(tmp_path / "p.jsonl", rows), Reading(responses="choosen")))


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (
            "a.jsonl",
            b"[\n " + ROW + b",\n" + ROW + b"\n]\n",
            "line 1: invalid_json.*an array goes into .json",
        ),
        ("a.jsonl", b"[" + ROW + b"]", "line 1: not_an_object: the row is a list"),
        ("a.jsonl", ROW.decode().encode("utf-16"), "line 1: invalid_utf8.*in UTF-8"),
        ("a.jsonl", b"\n\r".join([ROW, ROW]).replace(b"\n", b""), "line 1: invalid_json"),
        ("a.json", b"[1, null]", "line 1: not_an_object: the row is a number"),
        ("a.csv", "instruction,response\né,è\n".encode("cp1252"), "line 2: invalid_utf8.*.csv is in UTF-8"),
    ],
)
def test_a_file_of_which_no_row_can_be_read_is_an_error_not_a_list_of_bad_rows(tmp_path, name, data, told):
    write(tmp_path / "good.jsonl", ROW)
    with pytest.raises(InputError, match=rf"{name}: no row can be read; {told}"):
        list(read_pool([tmp_path / "good.jsonl", write(tmp_path / name, data)]))


def test_carried_columns_stand_beside_each_row(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [*pool_rows(2), b"bad"])
    files = find(path)
    reader = RowReader(files, Reading(), ["source"])
    assert [reader.parse(row).carried for row in rows_of(files)] == [("s0",), ("s1",), (None,)]


def test_a_layout_is_told_by_the_readable_rows_of_a_file_that_starts_badly(tmp_path):
    path = write(tmp_path / "a.jsonl", b"bad\n[]\n" + json.dumps(tier_rows(1)[0]).encode())
    assert [item.part for item in read_pool(path)][2:] == ["human", "referenced", "direct"]


def test_tiers_are_read_whole_and_bad_rows_with_their_reason(tmp_path):
    rows = tier_rows(2)
    good, bad, last = read_tiers(write_jsonl(tmp_path / "a.jsonl", [rows[0], b"bad", rows[1]]))
    assert (good.responses, good.id) == (rows[0]["responses"], "t0-0")
    assert (bad.reason, bad.address.line, last.address.line) == (Reason.INVALID_JSON, 2, 3)


def test_tiers_are_refused_where_rows_have_one_response(tmp_path):
    with pytest.raises(InputError, match="a.jsonl"):
        list(read_tiers(write_jsonl(tmp_path / "a.jsonl", pool_rows(2))))


def test_a_bracket_alone_below_a_good_row_is_one_bad_row(tmp_path):
    path = write(tmp_path / "a.jsonl", ROW + b"\n[\n" + ROW)
    assert [type(item) for item in read_pool(path)] == [Record, SetAside, Record]

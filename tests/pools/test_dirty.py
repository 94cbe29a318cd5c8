"""The sheet of what goes wrong in practice, line by line."""

import json

import pyarrow.parquet as pq

from scar.cli import main
from scar.pools import read_pool
from scar.records import Reason, Record, SetAside

WHY = {
    Reason.INVALID_JSON: (2, 31, 32, 33),
    Reason.NOT_AN_OBJECT: (27, 28, 29, 30),
    Reason.MISSING_RESPONSE: (5, 7),
    Reason.MISSING_INSTRUCTION: (6, 8),
    Reason.EMPTY_RESPONSE: (9, 10),
    Reason.EMPTY_INSTRUCTION: (11,),
    Reason.RESPONSE_NOT_TEXT: (21, 22, 23, 24),
    Reason.INSTRUCTION_NOT_TEXT: (25,),
}


def test_every_dirty_line_is_read_as_its_sheet_expects(scar_data):
    folder = scar_data / "formats"
    text = (folder / "dirty.jsonl").read_bytes().split(b"\n")
    expected = {e["line"]: e["expect"] for e in map(json.loads, (folder / "dirty_expected.jsonl").open("rb"))}
    items = {item.address.line: item for item in read_pool(folder / "dirty.jsonl")}
    why = {line: reason for reason, of in WHY.items() for line in of}
    assert sorted(why) == [line for line, expect in expected.items() if expect == "reject"]
    assert len(expected) == len(text)
    for line, expect in expected.items():
        if expect == "skip":
            assert line not in items
        elif expect == "reject":
            assert items[line].reason == why[line], line
        elif expect == "accept" or isinstance(items[line], Record):
            row = json.loads(text[line - 1])
            assert (items[line].turns[0].text, items[line].response) == (
                row["instruction"],
                row["response"],
            ), line
    assert len(items[12].response) >= 190_000


def test_lines_of_bad_bytes_leave_the_good_ones_alone(scar_data):
    items = list(read_pool(scar_data / "formats" / "dirty_bytes.jsonl"))
    assert [item.address.line for item in items] == [1, 2, 3, 4, 5, 6, 7]
    assert [item.response for item in items if isinstance(item, Record)] == ["Yes.", "Yes."]
    json_, utf8 = Reason.INVALID_JSON, Reason.INVALID_UTF8
    assert [item.reason for item in items if isinstance(item, SetAside)] == [utf8, utf8, json_, json_, utf8]


OURS = {
    16: Reason.RESPONSE_NOT_TEXT,  # a lone surrogate: no file could hold what is kept
    26: None,  # a number is an id as its text
    34: None,  # of a key that stands twice the last counts, as Python has it
    35: None,  # NaN in a column that no ranker reads
    38: Reason.INVALID_JSON,  # an integer of 5000 digits
}
"""Where the sheet leaves the choice: what we do. Line 37, 2000 deep, is as the running Python takes it."""


def test_where_the_sheet_leaves_the_choice_ours_is_this(scar_data):
    folder = scar_data / "formats"
    either = [
        e["line"]
        for e in map(json.loads, (folder / "dirty_expected.jsonl").open("rb"))
        if e["expect"] == "either"
    ]
    assert sorted([*OURS, 37]) == either
    items = {item.address.line: item for item in read_pool(folder / "dirty.jsonl")}
    assert {line: getattr(items[line], "reason", None) for line in OURS} == OURS
    assert getattr(items[37], "reason", Reason.INVALID_JSON) == Reason.INVALID_JSON
    assert (items[26].id, items[34].response) == ("26", "second")


def test_a_run_over_the_dirty_rows_counts_each_once(scar_data, bundle, tmp_path, capsys):
    pool, run = scar_data / "formats" / "dirty.jsonl", tmp_path / "run"
    sheet = [
        json.loads(e) for e in (scar_data / "formats" / "dirty_expected.jsonl").read_bytes().splitlines()
    ]
    assert main(["score", str(pool), "--ranker", str(bundle), "--out", str(run)]) == 0
    table = pq.read_table(run / "chunks").to_pylist()
    aside = [json.loads(line) for line in (run / "set_aside.jsonl").read_bytes().splitlines()]
    assert [row["line"] for row in table] == [each["line"] for each in sheet if each["expect"] != "skip"]
    assert [row["line"] for row in table if row["reason"]] == [row["line"] for row in aside]
    assert all((row["style"] is None) == bool(row["reason"]) for row in table)
    wrong = {each["line"] for each in sheet if each["expect"] == "reject"}
    assert wrong <= {row["line"] for row in aside} <= wrong | {16, 37, 38}
    assert all(
        row["file"] == "dirty.jsonl" and row["reason"] and 0 < len(row["detail"]) < 300 for row in aside
    )
    out = capsys.readouterr().out
    assert f"44 records: {44 - len(aside)} scored, {len(aside)} set aside" in out
    assert next(row for row in table if row["line"] == 12)["style_truncated"]


def test_strict_stops_at_the_first_dirty_row(scar_data, bundle, tmp_path, capsys):
    pool = scar_data / "formats" / "dirty.jsonl"
    command = ["score", str(pool), "--ranker", str(bundle), "--out", str(tmp_path / "run"), "--strict"]
    assert main(command) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scar: error")]
    assert len(errors) == 1 and "dirty.jsonl, line 2: invalid_json" in errors[0]
    assert not (tmp_path / "run" / "run.json").exists()


def test_dirty_rows_are_the_same_as_elements_of_an_array(scar_data, tmp_path):
    lines = (scar_data / "formats" / "dirty.jsonl").read_bytes().split(b"\n")
    # What is cut off within a text or an object, or two at once, cannot be an element.
    rows = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and n not in (2, 33)]
    (tmp_path / "dirty.json").write_bytes(b"[" + b",\n".join(line for _, line in rows) + b"]")
    alone = {item.address.line: item for item in read_pool(scar_data / "formats" / "dirty.jsonl")}
    items = list(read_pool(tmp_path / "dirty.json"))
    assert len(items) == len(rows)
    for item, (line, _) in zip(items, rows, strict=True):
        assert type(item) is type(alone[line]), line
        assert getattr(item, "response", None) == getattr(alone[line], "response", None)
        assert getattr(item, "reason", None) == getattr(alone[line], "reason", None)

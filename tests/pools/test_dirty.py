"""The sheet of what goes wrong in practice, line by line."""

import json

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

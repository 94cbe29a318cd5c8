"""Rows that are valid and odd, beside those of the sheet of dirty ones."""

import json

import pytest

from scar.pools import read_pool
from scar.records import Reason, Record
from scar.settings import Reading


def items(tmp_path, *rows, **reading):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read_pool(path, Reading(**reading)))


def chat(turns, text="t"):
    return {
        "messages": [{"role": ("user", "assistant")[k % 2], "content": f"{text}{k}"} for k in range(turns)]
    }


@pytest.mark.parametrize("turns", ["last", "each"])
def test_a_chat_of_ten_thousand_turns_is_one_record(turns, tmp_path):
    (item,) = items(tmp_path, chat(10_000), turns=turns)
    assert isinstance(item, Record) and len(item.turns) == 9_999 and item.response == "t9999"
    assert len(item.answers) == (0 if turns == "last" else 4_999)


def test_a_lone_surrogate_in_one_turn_of_many_sets_its_row_aside_alone(tmp_path):
    bad = chat(4)
    bad["messages"][1]["content"] = "x\ud800"
    first, middle, last = items(tmp_path, chat(4), bad, chat(4))
    assert (middle.reason, middle.detail) == (
        Reason.WRONG_LAYOUT,
        "message 1 holds a lone surrogate at character 1",
    )
    assert isinstance(first, Record) and isinstance(last, Record)


def test_a_nul_is_text_and_cuts_nothing_off(tmp_path):
    (item,) = items(
        tmp_path,
        {"messages": [{"role": "user", "content": "a\0b"}, {"role": "assistant", "content": "\0c\0"}]},
    )
    assert (item.turns[0].text, item.response) == ("a\0b", "\0c\0")


@pytest.mark.parametrize("deep", ["[" * 50_000 + "]" * 50_000, '{"a":' * 50_000 + "1" + "}" * 50_000])
def test_what_is_nested_deep_is_its_own_rows_fault(deep, tmp_path):
    good = json.dumps({"instruction": "i", "response": "r"})
    for name, text in (
        ("a.jsonl", f'{good}\n{{"x": {deep}}}\n{good}'),
        ("a.json", f'[{good}, {{"x": {deep}}}, {good}]'),
    ):
        (tmp_path / name).write_text(text)
        first, middle, last = read_pool(tmp_path / name)
        assert middle.reason == Reason.INVALID_JSON and middle.address.line == 2
        assert isinstance(first, Record) and isinstance(last, Record)

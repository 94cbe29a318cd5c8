"""Preference rows in every shape: a prompt or none, texts, messages, or whole dialogues; and answers that are JSON."""

import pytest

from scar.formats import Layout, detect, expand
from scar.pools import read_pool
from scar.records import NOWHERE, Reason, Record, SetAside, Turn
from scar.settings import Reading
from tests.make import write_jsonl

USER, GOOD, BAD = (
    {"role": "user", "content": "Ask."},
    {"role": "assistant", "content": "Good."},
    {"role": "assistant", "content": "Bad."},
)
ASKED = (Turn("user", "Ask."),)


def items(row):
    return list(expand(row, detect([row], "auto", {}, "f"), NOWHERE))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Ask.", "chosen": "Good.", "rejected": "Bad."},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "Ask.", "chosen": [USER, GOOD], "rejected": [USER, BAD]},  # UltraFeedback
        {"prompt": [USER], "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "Ask.", "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": [USER], "chosen": "Good.", "rejected": "Bad."},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "", "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": [], "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"chosen": "\n\nHuman: Ask.\n\nAssistant: Good.", "rejected": "\n\nHuman: Ask.\n\nAssistant: Bad."},
        {"chosen": "Human: Ask.\n\nAssistant: Good.", "rejected": "Human: Ask.\n\nAssistant: Bad."},
        {"prompt": "\n\nHuman: Ask.\n\nAssistant:", "chosen": "Good.", "rejected": "Bad."},
    ],
)
def test_every_shape_says_the_same(row):
    assert items(row) == [Record(ASKED, "Good.", part="chosen"), Record(ASKED, "Bad.", part="rejected")]


def test_parts_stand_in_the_order_of_the_row():
    assert [i.part for i in items({"rejected": "Bad.", "prompt": "Ask.", "chosen": "Good."})] == [
        "rejected",
        "chosen",
    ]


def test_a_dialogue_of_several_turns_ends_in_its_answer():
    text = "\n\nHuman: One\n\nAssistant: Two\n\nlines\n\nHuman: Three\n\nAssistant: "
    chosen, rejected = items({"chosen": text + "Four", "rejected": text + "Human: five"})
    turns = (Turn("user", "One"), Turn("assistant", "Two\n\nlines"), Turn("user", "Three"))
    assert (chosen.turns, chosen.response) == (turns, "Four")
    assert (rejected.turns, rejected.response) == (turns, "Human: five")


@pytest.mark.parametrize(
    "text",
    ["Human: beings err.", "They say\n\nHuman: hi\n\nAssistant: yo", "An Assistant: one.", "x Human: y"],
)
def test_text_that_merely_mentions_a_speaker_is_text(text):
    row = {"prompt": "Ask.", "chosen": text, "rejected": "Bad."}
    assert items(row)[0] == Record(ASKED, text, part="chosen")
    assert items({"prompt": text, "completion": "A"})[0].turns[-1].text in text


@pytest.mark.parametrize(
    "text", ['{"name": "Bob"}', "[1, 2, 3]", '[{"x": 1}]', "[]", "{}", "[not json", '[{"role": 1}, 2]']
)
def test_an_answer_that_is_json_is_a_text(text):
    assert items({"prompt": "Ask.", "completion": text}) == [Record(ASKED, text)]
    assert [i.response for i in items({"prompt": "Ask.", "chosen": text, "rejected": text})] == [text] * 2
    assert items({"prompt": text, "completion": "A"})[0].turns == (Turn("user", text),)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, Reason.MISSING_RESPONSE),
        (" ", None),
        (7, None),
        ([], Reason.MISSING_RESPONSE),
        ([USER], Reason.MISSING_RESPONSE),
        (["text"], Reason.WRONG_LAYOUT),
        ("\n\nHuman: Ask.", Reason.MISSING_RESPONSE),
        ("no dialogue", Reason.MISSING_INSTRUCTION),
    ],
)
@pytest.mark.parametrize("whole", ["\n\nHuman: Ask.\n\nAssistant: Good.", [USER, GOOD]])
def test_a_bad_response_is_set_aside_alone(whole, broken, reason):
    good, bad = expand({"id": 1, "chosen": whole, "rejected": broken}, Layout("preference"), NOWHERE)
    assert good == Record(ASKED, "Good.", id="1", part="chosen")
    assert isinstance(bad, SetAside) and (bad.part, bad.id) == ("rejected", "1")
    assert reason is None or bad.reason == reason


def test_a_bad_prompt_spoils_the_row():
    for prompt, reason in (
        (5, Reason.INSTRUCTION_NOT_TEXT),
        ([{"role": "user", "content": ""}], Reason.EMPTY_INSTRUCTION),
    ):
        (bad,) = items({"prompt": prompt, "chosen": "a", "rejected": "b"})
        assert (bad.reason, bad.part) == (reason, None)


def test_a_row_with_neither_response_is_set_aside(tmp_path):
    rows = [{"prompt": "Ask.", "chosen": "Good.", "rejected": "Bad."}, {"id": 3, "prompt": "Ask."}]
    for wanted in ("all", "chosen"):
        last = list(read_pool(write_jsonl(tmp_path / "p.jsonl", rows), Reading(responses=wanted)))[-1]
        assert (last.reason, last.id, last.address.line) == (Reason.MISSING_RESPONSE, "3", 2)


def test_responses_picks_a_part_and_says_where_there_is_none(tmp_path):
    rows = [
        {"prompt": "Ask.", "chosen": "Good.", "rejected": "Bad."},
        {"prompt": "Ask.", "rejected": "Bad."},
        {"prompt": "Ask.", "chosen": None, "rejected": "Bad."},
    ]
    found = list(read_pool(write_jsonl(tmp_path / "p.jsonl", rows), Reading(responses="chosen")))
    assert found[0].response == "Good."
    assert [item.reason for item in found[1:]] == [Reason.MISSING_RESPONSE] * 2
    assert [item.address.row for item in found] == [0, 1, 2]


def test_pairs_may_call_their_prompt_instruction():
    rows = [{"instruction": "why?", "chosen": "so", "rejected": "no"}]
    layout = detect(rows, "auto", {}, "f")
    assert layout.column("prompt") == "instruction"
    assert [item.turns[0].text for item in expand(rows[0], layout, NOWHERE)] == ["why?", "why?"]
    named = detect([row | {"prompt": "p"} for row in rows], "auto", {}, "f")
    assert named.column("prompt") == "prompt"

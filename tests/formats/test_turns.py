"""Dialogues in any spelling become turns."""

import json

import pytest

from scar.formats import Layout, detect, expand, layout_of
from scar.records import NOWHERE, Reason, Turn
from tests.formats.made import records, said


def test_the_last_assistant_turn_is_the_response_and_a_later_user_turn_is_ignored():
    row = said(
        ("system", "Be kind."),
        ("user", "1"),
        ("assistant", "2"),
        ("user", "3"),
        ("assistant", "4"),
        ("user", "5"),
    )
    (record,) = records(row)
    assert record.response == "4"
    assert record.turns == (
        Turn("system", "Be kind."),
        Turn("user", "1"),
        Turn("assistant", "2"),
        Turn("user", "3"),
    )


def test_content_in_text_parts_is_joined_by_lines():
    row = said(
        ("user", [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]), ("assistant", "Answer.")
    )
    assert records(row)[0].turns == (Turn("user", "One\ntwo"),)


def test_an_image_is_refused_by_the_number_of_its_message():
    image = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "x"}}]
    (item,) = records(said(("user", image), ("assistant", "A cat.")))
    assert item.reason == Reason.WRONG_LAYOUT
    assert "message 0" in item.detail


def talked(*pairs):
    return {"conversations": [{"from": who, "value": text} for who, text in pairs]}


@pytest.mark.parametrize("answerer", ["gpt", "assistant", "chatgpt", "bing", "bard", "model"])
@pytest.mark.parametrize("asker", ["human", "user", "prompter"])
def test_both_sides_have_many_names(asker, answerer):
    (record,) = records(talked(("system", "s"), (asker, "q"), (answerer, "a")))
    assert (record.turns, record.response) == ((Turn("system", "s"), Turn("user", "q")), "a")


def test_other_roles_keep_their_names_and_their_place():
    (record,) = records(
        talked(("human", "q"), ("gpt", None), ("tool", "42"), ("observation", "o"), ("gpt", "a"))
    )
    assert [turn.role for turn in record.turns] == ["user", "assistant", "tool", "observation"]
    assert record.turns[1].text == ""


def test_a_dialogue_may_open_with_an_answer_but_not_be_one():
    (record,) = records(talked(("gpt", "hello"), ("human", "q"), ("gpt", "a")))
    assert record.response == "a" and len(record.turns) == 2
    (item,) = records(talked(("gpt", "hello")))
    assert item.reason == Reason.MISSING_INSTRUCTION


def test_the_earlier_answers_are_marked_only_where_they_are_asked_for():
    row = talked(("human", "q"), ("gpt", "a"), ("human", "p"), ("gpt", ""), ("human", "o"), ("gpt", "b"))
    layout = detect([row], "auto", {}, "f")
    assert [item.answers for item in expand(row, layout, NOWHERE)] == [()]
    assert [item.answers for item in expand(row, layout, NOWHERE, "each")] == [(1,)]


def test_role_and_content_go_before_from_and_value():
    message = {"role": None, "from": "human", "content": None, "value": "q"}
    both = {"role": "assistant", "from": "human", "content": "a", "value": "x"}
    (record,) = records({"messages": [message, both]})
    assert (record.turns, record.response) == ((Turn("user", "q"),), "a")


@pytest.mark.parametrize("layout", ["messages", "sharegpt", "preference"])
def test_an_object_of_lists_is_the_list_that_datasets_made_it_of(layout):
    role, content = ("from", "value") if layout == "sharegpt" else ("role", "content")
    talk = {role: ["user", "assistant"], content: ["Ask.", "Answer."]}
    field = {"messages": "messages", "sharegpt": "conversations", "preference": "chosen"}[layout]
    row = {field: talk} | ({"rejected": talk} if layout == "preference" else {})
    assert layout_of(row).name == layout
    record = next(expand(row, Layout(layout), NOWHERE))
    assert (record.turns, record.response) == ((Turn("user", "Ask."),), "Answer.")


def test_an_object_of_lists_of_several_lengths_is_no_dialogue():
    (bad,) = expand({"messages": {"role": ["user"], "content": ["a", "b"]}}, Layout("messages"), NOWHERE)
    assert (bad.reason, bad.detail) == (Reason.WRONG_LAYOUT, "'messages' is an object, not a list")


def test_the_roles_of_a_dialogue_without_an_answer_are_told():
    (bad,) = expand({"messages": [{"role": "Assistant", "content": "a"}]}, Layout("messages"), NOWHERE)
    assert bad.detail == "no message has the role 'assistant'; there are: 'Assistant'"


def test_messages_as_json_text_are_messages():
    (record,) = records({"messages": json.dumps(said(("user", "q"), ("assistant", "a"))["messages"])})
    assert (record.turns, record.response) == ((Turn("user", "q"),), "a")

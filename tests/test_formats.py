"""Rows of every layout become records, and what cannot be one says why."""

import pytest

from scar.errors import InputError
from scar.formats import Layout, carried, detect, expand, tiers
from scar.records import NOWHERE, Reason, Record, SetAside, Tiers, Turn

PLAIN = {"instruction": "Ask.", "response": "Answer."}
TIERS = {"instruction": "Ask.", "responses": {"human": "H", "direct": "D"}}
USER, ASSISTANT = {"role": "user", "content": "Ask."}, {"role": "assistant", "content": "Answer."}
MESSAGES = {"messages": [USER, ASSISTANT]}


def records(row, name="auto", **columns):
    return list(expand(row, detect([row], name, columns, "pool.jsonl"), NOWHERE))


def reason(row, name):
    (item,) = expand(row, Layout(name, {}), NOWHERE)
    assert isinstance(item, SetAside), item
    return item.reason


def said(*messages):
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


@pytest.mark.parametrize(("row", "name"), [(PLAIN, "plain"), (TIERS, "tiers"), (MESSAGES, "messages")])
@pytest.mark.parametrize("forced", [False, True])
def test_a_layout_is_found_by_its_columns_or_forced(row, name, forced):
    assert detect([row], name if forced else "auto", {}, "pool.jsonl").name == name


def test_a_row_that_fits_two_layouts_is_read_as_forced():
    both = {**PLAIN, **MESSAGES}
    assert detect([both], "auto", {}, "f").name == "messages"
    assert detect([both], "plain", {}, "f").name == "plain"


def test_one_good_row_tells_the_layout_of_a_file_that_starts_badly():
    assert detect([{"instruction": "no more"}, {}, TIERS], "auto", {}, "f").name == "tiers"


def test_a_wrong_forced_layout_names_the_column_and_the_remedy():
    with pytest.raises(
        InputError, match=r"pool.jsonl: .*'messages'.*'instruction', 'response'.*--columns messages="
    ):
        records(PLAIN, "messages")


def test_an_unknown_layout_lists_the_columns_and_the_remedy():
    with pytest.raises(
        InputError, match=r"pool.jsonl: .*'answer', 'prompt'.*--columns instruction=.*--format"
    ):
        records({"prompt": "Ask.", "answer": "Answer."})


def test_columns_map_fields_to_the_names_a_file_has():
    (record,) = records({"prompt": "Ask.", "answer": "Answer."}, instruction="prompt", response="answer")
    assert record == Record.plain("Ask.", "Answer.")
    (record,) = records({"talk": [USER, ASSISTANT]}, messages="talk")
    assert record == Record.plain("Ask.", "Answer.")


def test_columns_of_an_unknown_field_list_the_known_ones():
    with pytest.raises(InputError, match="--columns question=.*no such field.*instruction.*response"):
        records(PLAIN, question="instruction")


def test_a_mapped_column_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InputError, match=r"no column 'answer' .*response=answer.*'instruction', 'response'"):
        records(PLAIN, response="answer")


def test_a_plain_row_is_one_user_turn_and_its_response():
    assert records(PLAIN) == [Record((Turn("user", "Ask."),), "Answer.")]


def test_tiers_become_records_in_the_order_of_the_row():
    assert [(r.part, r.response, r.turns[0].text) for r in records(TIERS)] == [
        ("human", "H", "Ask."),
        ("direct", "D", "Ask."),
    ]


def test_a_tier_that_is_null_is_one_that_the_row_does_not_have():
    (good,) = records({"instruction": "Ask.", "responses": {"human": None, "direct": "D"}})
    assert (good.response, good.part) == ("D", "direct")
    assert reason({"instruction": "Ask.", "responses": {"human": None}}, "tiers") == Reason.MISSING_RESPONSE


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


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("plain", {"response": "A"}, Reason.MISSING_INSTRUCTION),
        ("plain", {"instruction": None, "response": "A"}, Reason.MISSING_INSTRUCTION),
        ("plain", {"instruction": "Q"}, Reason.MISSING_RESPONSE),
        ("plain", {"instruction": " \n", "response": "A"}, Reason.EMPTY_INSTRUCTION),
        ("plain", {"instruction": "Q", "response": "\u00a0\u2003\t"}, Reason.EMPTY_RESPONSE),
        ("plain", {"instruction": 4, "response": "A"}, Reason.INSTRUCTION_NOT_TEXT),
        ("plain", {"instruction": "\ud800", "response": "A"}, Reason.INSTRUCTION_NOT_TEXT),
        ("plain", {"instruction": "Q", "response": True}, Reason.RESPONSE_NOT_TEXT),
        ("plain", {"instruction": "Q", "response": "\udfff"}, Reason.RESPONSE_NOT_TEXT),
        ("messages", {"messages": "Hello"}, Reason.WRONG_LAYOUT),
        ("messages", {"messages": None}, Reason.WRONG_LAYOUT),
        ("messages", {"messages": ["Hello"]}, Reason.WRONG_LAYOUT),
        ("messages", {"messages": [{"content": "Hello"}]}, Reason.WRONG_LAYOUT),
        ("messages", said(("user", 5), ("assistant", "A")), Reason.WRONG_LAYOUT),
        ("messages", said(("user", "\ud800"), ("assistant", "A")), Reason.WRONG_LAYOUT),
        ("messages", said(("\ud800", "Q"), ("user", "Q"), ("assistant", "A")), Reason.WRONG_LAYOUT),
        ("messages", {"messages": []}, Reason.MISSING_RESPONSE),
        ("messages", said(("user", "Q")), Reason.MISSING_RESPONSE),
        ("messages", said(("assistant", "A")), Reason.MISSING_INSTRUCTION),
        ("messages", said(("system", "S"), ("assistant", "A")), Reason.MISSING_INSTRUCTION),
        ("messages", said(("system", "S"), ("user", " "), ("assistant", "A")), Reason.EMPTY_INSTRUCTION),
        ("messages", said(("user", "Q"), ("assistant", None)), Reason.EMPTY_RESPONSE),
        ("tiers", {"instruction": "Q"}, Reason.WRONG_LAYOUT),
        ("tiers", {"instruction": "Q", "responses": ["A"]}, Reason.WRONG_LAYOUT),
        ("tiers", {"instruction": "Q", "responses": {"\ud800": "A"}}, Reason.WRONG_LAYOUT),
        ("tiers", {"instruction": "Q", "responses": {}}, Reason.MISSING_RESPONSE),
        ("tiers", {"instruction": "Q", "responses": {"human": "  "}}, Reason.EMPTY_RESPONSE),
    ],
)
def test_a_row_that_cannot_be_ranked_says_why(name, row, expected):
    assert reason(row, name) == expected


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a1", "a1"), (7, "7"), (0, "0"), (None, None), (True, None), ([1], None), ("x\ud800", "x?")],
)
def test_an_id_is_text_or_a_number_as_text(given, kept):
    assert records({**PLAIN, "id": given})[0].id == kept
    assert list(expand({"id": given}, Layout("plain", {}), NOWHERE))[0].id == kept


def test_a_row_without_an_id_has_none():
    assert records(PLAIN)[0].id is None


def whole(**more):
    return tiers({**TIERS, **more}, Layout("tiers", {}), NOWHERE)


def test_a_null_or_blank_tier_is_a_missing_tier():
    item = whole(
        responses={"human": None, "referenced": " \n", "direct": "D"}, quality={"human": 3, "direct": 5}
    )
    assert item == Tiers((Turn("user", "Ask."),), {"direct": "D"}, {"direct": 5.0})


def test_a_row_whose_tiers_are_all_missing_is_set_aside():
    assert whole(responses={"human": None, "direct": ""}).reason == Reason.EMPTY_RESPONSE


def test_quality_is_a_number_or_the_mean_of_helpfulness_and_correctness():
    item = whole(quality={"human": 7, "direct": {"helpfulness": 4, "correctness": 7, "style": 1}})
    assert item.quality == {"human": 7.0, "direct": 5.5}
    assert whole(quality={"human": None}).quality == {}
    assert whole().quality == {}


@pytest.mark.parametrize(
    "grade",
    [
        "good",
        True,
        float("nan"),
        float("inf"),
        10**400,
        {"helpfulness": 3},
        {"helpfulness": 3, "correctness": "4"},
    ],
)
def test_a_grade_that_is_no_number_is_refused_with_its_tier(grade):
    item = whole(quality={"human": grade})
    assert item.reason == Reason.WRONG_LAYOUT
    assert "'human'" in item.detail


def test_a_long_grade_is_not_echoed_whole():
    assert len(whole(quality={"human": "x" * 100_000}).detail) < 200


def test_quality_that_is_a_list_is_refused():
    assert whole(quality=[1, 2]).reason == Reason.WRONG_LAYOUT


def test_eval_only_is_true_or_nothing():
    assert whole(eval_only=True).eval_only is True
    assert whole(eval_only="yes").eval_only is False
    assert whole().eval_only is False


def test_a_row_read_whole_keeps_its_id_and_its_source():
    item = whole(id=3, source="made")
    assert (item.id, item.source, whole(source=5).source) == ("3", "made", None)


def test_a_carried_value_is_its_text_or_its_json():
    row = {"a": "x", "b": 1.5, "c": {"z": 1, "y": ["é"]}, "d": None, "e": "\ud800", "f": ""}
    assert [carried(row, name) for name in "abcdefg"] == [
        "x",
        "1.5",
        '{"y": ["é"], "z": 1}',
        None,
        "?",
        "",
        None,
    ]

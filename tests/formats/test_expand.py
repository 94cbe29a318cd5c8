"""A row becomes one record a response, and what cannot be one says why."""

import pytest

from scar.records import Reason, Record, Turn
from tests.formats.made import PLAIN, TIERS, reason, records, said


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

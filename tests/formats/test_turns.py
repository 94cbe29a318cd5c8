"""Dialogues in any spelling become turns."""

from scar.records import Reason, Turn
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

"""Single values: ids, carried columns, texts that are no text."""

import pytest

from scar.formats import Layout, RowError, carried, expand
from scar.formats.values import flag, listed, text
from scar.records import NOWHERE
from tests.formats.made import PLAIN, records


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a1", "a1"), (7, "7"), (0, "0"), (None, None), (True, None), ([1], None), ("x\ud800", "x?")],
)
def test_an_id_is_text_or_a_number_as_text(given, kept):
    assert records({**PLAIN, "id": given})[0].id == kept
    assert list(expand({"id": given}, Layout("plain", {}), NOWHERE))[0].id == kept


def test_a_row_without_an_id_has_none():
    assert records(PLAIN)[0].id is None


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


def test_names_in_a_message_are_neither_all_nor_long():
    assert listed(["b", "a"]) == "'a', 'b'"
    assert listed(map(str, range(300))).endswith("and 288 more")
    assert len(listed(["x" * 999])) < 70


def test_bytes_are_called_bytes():
    with pytest.raises(RowError, match="the response is bytes, not text"):
        text(b"x", "response")


@pytest.mark.parametrize("given", [True, 1, 1.0, "true", " True ", "1", "1.0"])
def test_a_flag_is_true_or_one_as_any_type_of_file_has_it(given):
    assert flag(given)


@pytest.mark.parametrize(
    "given", [None, False, 0, 0.0, 2, float("nan"), "", "false", "0", "no", [1], {"a": 1}]
)
def test_nothing_else_is_a_flag(given):
    assert not flag(given)

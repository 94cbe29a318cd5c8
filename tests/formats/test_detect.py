"""A file tells its layout, or the message says what to do."""

import pytest

from scar.errors import InputError
from scar.formats import detect
from scar.records import Record
from tests.formats.made import ASSISTANT, MESSAGES, PLAIN, TIERS, USER, records


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

"""A file tells its layout, or the message says what to do."""

import pytest

from scar.errors import InputError
from scar.formats import detect
from scar.pools import read_pool
from scar.records import Reason, Record, SetAside
from scar.settings import Reading
from tests.formats.made import ASSISTANT, MESSAGES, PLAIN, TIERS, USER, records
from tests.make import write_jsonl


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


LONG = {"instruction": "i" * 5000, "response": "r" * 5000}


def refused(rows, wanted="auto", columns=None, lines=()):
    with pytest.raises(InputError) as error:
        detect(rows, wanted, columns or {}, "pool.jsonl", lines)
    message = str(error.value)
    assert (
        message.startswith("pool.jsonl: ")
        and "iiiiiiiii" * 14 not in message
        and "rrrrrrrr" * 16 not in message
    )
    return message


def test_a_file_of_two_layouts_shows_a_row_of_each_and_the_remedy():
    message = refused([LONG, LONG, {**TIERS, "instruction": "i" * 5000}], lines=[1, 4, 9])
    for part in (
        "line 1 is plain",
        "line 9 is tiers",
        "put each into a file of its own",
        "--format",
        '"iiii',
    ):
        assert part in message
    assert len(message) < 500


def test_a_wrong_forced_layout_shows_a_row_and_what_it_looks_like():
    message = refused([LONG], "sharegpt", lines=[3])
    for part in (
        "needs the column 'conversations'",
        "line 3: {",
        "it looks like plain",
        "--format auto",
        "...",
    ):
        assert part in message


def test_unknown_columns_show_a_row_and_both_remedies():
    message = refused([{f"c{n}": "i" * 500 for n in range(40)}], lines=[2])
    for part in ("'c0'", "and 28 more", "line 2: {", "--columns instruction=NAME", "--format tiers|"):
        assert part in message
    assert len(message) < 700


def test_a_row_of_another_layout_further_down_names_both(tmp_path):
    rows = [*[PLAIN] * 200, MESSAGES, PLAIN]
    items = list(read_pool(write_jsonl(tmp_path / "p.jsonl", rows)))
    (odd,) = [item for item in items if isinstance(item, SetAside)]
    assert (odd.reason, odd.address.line) == (Reason.WRONG_LAYOUT, 201)
    assert "messages" in odd.detail and "plain" in odd.detail


def test_rows_of_another_layout_are_set_aside_under_a_forced_one(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [MESSAGES, PLAIN, TIERS])
    items = list(read_pool(path, Reading(format="plain")))
    assert [getattr(item, "reason", None) for item in items] == [
        Reason.WRONG_LAYOUT,
        None,
        Reason.WRONG_LAYOUT,
    ]
    assert "looks like tiers" in items[2].detail


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": "a", "rejected": "b", "messages": [{"role": "user", "content": "a"}], "prompt": "p"},
        {"prompt": "p", "completion": "c", "instruction": None, "response": None, "messages": None},
        {"instruction": "i", "output": "o", "response": None, "chosen": None, "rejected": None},
        {"conversations": '[{"from": "human", "value": "x"}]', "instruction": None},
    ],
)
def test_what_is_null_is_not_there(row):
    named = {
        "chosen": "preference",
        "completion": "prompt-completion",
        "output": "alpaca",
        "conversations": "sharegpt",
    }
    assert detect([row], "auto", {}, "f").name == next(name for key, name in named.items() if row.get(key))


def test_columns_of_no_rows_are_told_by_none():
    assert detect([], "auto", {}, "f").name == "plain"
    assert detect([], "tiers", {}, "f").name == "tiers"
    assert detect([], "auto", {"completion": "x"}, "f").name == "prompt-completion"


def test_fields_that_no_layout_has_together_are_refused():
    with pytest.raises(InputError, match="no layout has all of these fields"):
        detect([PLAIN], "auto", {"messages": "a", "completion": "b"}, "f")

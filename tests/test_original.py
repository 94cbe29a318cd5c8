"""The original's training layout: three lists aligned by position, grades beside them."""

import json

import pytest

from scar.bundle import Bundle
from scar.cli import main
from scar.errors import InputError
from scar.original import files, is_original, read_original
from scar.pools import digest, read_tiers
from scar.records import Reason, SetAside, Tiers
from scar.settings import Reading
from tests.make import tier_rows, write_jsonl

TIERS = ("human", "referenced", "direct")


def key(instruction, output):
    """Make the key of a grade as the original's create_key does."""
    from style_ranker.utils import create_key

    return create_key(instruction, output)


def write(folder, rows, tiers=TIERS, aspects=("help", "correct"), grade=7.0):
    """Write rows of the tiers layout as the original has them, every answer graded."""
    folder.mkdir(parents=True, exist_ok=True)
    for tier in tiers:
        items = [{"instruction": row["instruction"], "output": row["responses"][tier]} for row in rows]
        (folder / f"{tier}.json").write_text(json.dumps(items))
        for aspect in aspects:
            grades = {key(item["instruction"], item["output"]): grade + (aspect == "help") for item in items}
            (folder / f"{tier}_{aspect}_score.json").write_text(json.dumps(grades))
    return folder


def change(folder, name, edit):
    """Rewrite a JSON file."""
    value = json.loads((folder / name).read_text())
    edit(value)
    (folder / name).write_text(json.dumps(value))


def test_rows_are_joined_by_position_with_the_mean_of_both_grades(tmp_path):
    rows = tier_rows(5)
    read = list(read_original(write(tmp_path, rows)))
    assert [row.turns[0].text for row in read] == [row["instruction"] for row in rows]
    for mine, row in zip(read, rows, strict=True):
        assert dict(mine.responses) == row["responses"]
        assert dict(mine.quality) == {tier: 7.5 for tier in TIERS}
    assert [row.address.line for row in read] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("tiers", [("human", "direct"), ("human", "referenced"), TIERS])
def test_one_tier_beside_the_human_answers_is_enough(tiers, tmp_path):
    folder = write(tmp_path, tier_rows(3), tiers)
    assert is_original(folder) and {tier for row in read_original(folder) for tier in row.responses} == set(
        tiers
    )
    assert len(files(folder)) == 3 * len(tiers)


@pytest.mark.parametrize("tiers", [("human",), ("direct", "referenced"), ()])
def test_other_folders_are_not_taken_for_it(tiers, tmp_path):
    folder = write(tmp_path / "f", tier_rows(3), tiers)
    assert not is_original(folder) and files(folder) == []
    assert not is_original(tmp_path / "none")


def test_without_grades_there_is_no_quality(tmp_path):
    assert all(not row.quality for row in read_original(write(tmp_path, tier_rows(3), aspects=())))


def test_one_aspect_is_a_grade_by_itself(tmp_path):
    assert next(read_original(write(tmp_path, tier_rows(3), aspects=("help",)))).quality["human"] == 8.0


@pytest.mark.parametrize("value", [None, "gone"])
def test_a_missing_grade_is_a_missing_quality_never_0(value, tmp_path):
    folder = write(tmp_path, tier_rows(2))

    def edit(grades):
        first = next(iter(grades))
        grades.pop(first) if value else grades.update({first: None})

    change(folder, "direct_correct_score.json", edit)
    first, second = read_original(folder)
    assert set(first.quality) == {"human", "referenced"} and set(second.quality) == set(TIERS)


def test_a_grade_that_is_no_number_sets_the_row_aside(tmp_path):
    folder = write(tmp_path, tier_rows(2))
    change(folder, "human_help_score.json", lambda grades: grades.update({next(iter(grades)): "good"}))
    first, second = read_original(folder)
    assert isinstance(first, SetAside) and first.reason == Reason.WRONG_LAYOUT and isinstance(second, Tiers)


@pytest.mark.parametrize("tier", TIERS)
def test_tiers_graded_for_different_aspects_are_an_error_that_names_the_file(tier, tmp_path):
    folder = write(tmp_path, tier_rows(2))
    (folder / f"{tier}_correct_score.json").unlink()
    with pytest.raises(InputError, match=f"no {tier}_correct_score.json"):
        list(read_original(folder))


def test_an_answer_that_the_original_failed_to_make_is_a_missing_tier(tmp_path):
    folder = write(tmp_path, tier_rows(2))
    change(folder, "direct.json", lambda items: items[0].update(output=None))
    assert set(next(read_original(folder)).responses) == {"human", "referenced"}


def test_an_entry_that_is_no_object_is_set_aside_with_its_file(tmp_path):
    folder = write(tmp_path, tier_rows(3))
    change(folder, "referenced.json", lambda items: items.__setitem__(1, "text"))
    _, aside, _ = read_original(folder)
    assert isinstance(aside, SetAside) and aside.reason == Reason.NOT_AN_OBJECT
    assert (aside.address.file, aside.address.line) == ("referenced.json", 2)


def test_an_empty_instruction_is_set_aside(tmp_path):
    folder = write(tmp_path, [tier_rows(1)[0] | {"instruction": " "}, *tier_rows(2)])
    aside, *rows = read_original(folder)
    assert aside.reason == Reason.EMPTY_INSTRUCTION and len(rows) == 2


def test_lists_of_unequal_length_are_an_error(tmp_path):
    folder = write(tmp_path, tier_rows(4))
    change(folder, "direct.json", lambda items: items.pop())
    told = "human.json 4.*at position 3 direct.json ends.*what is"
    with pytest.raises(InputError, match=told):
        list(read_original(folder))


def test_instructions_that_differ_are_an_error_with_both_texts(tmp_path):
    folder = write(tmp_path, tier_rows(4))
    change(folder, "referenced.json", lambda items: items[2].update(instruction="other " * 50))
    told = r"at position 2 human.json has .*'what is .*referenced.json 'other .*\.\.\."
    with pytest.raises(InputError, match=told) as error:
        list(read_original(folder))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("direct.json", "{}", "not a list"),
        ("direct.json", "[", "not readable as JSON"),
        ("human_help_score.json", "[]", "not an object of grades"),
    ],
)
def test_a_file_of_another_shape_is_an_error_that_names_it(name, text, told, tmp_path):
    (write(tmp_path, tier_rows(2)) / name).write_text(text)
    with pytest.raises(InputError, match=f"{name}: {told}"):
        list(read_original(tmp_path))


def test_pool_files_beside_the_lists_are_an_error(tmp_path):
    write_jsonl(write(tmp_path, tier_rows(2)) / "more.jsonl", tier_rows(2))
    with pytest.raises(InputError, match=r"more\.jsonl"):
        list(read_tiers(tmp_path))


def test_columns_and_strict_are_held_to(tmp_path):
    folder = write(tmp_path, tier_rows(2))
    with pytest.raises(InputError, match="fixed names"):
        list(read_tiers(folder, Reading(columns="instruction=prompt")))
    change(folder, "human.json", lambda items: items.__setitem__(0, 1))
    with pytest.raises(InputError, match="strict"):
        list(read_tiers(folder, Reading(strict=True)))


def test_the_digest_is_of_every_file(tmp_path):
    folder = write(tmp_path, tier_rows(2))
    first = digest(folder)
    assert digest(folder) == first
    change(folder, "human_help_score.json", lambda grades: grades.update({next(iter(grades)): 1}))
    assert digest(folder) != first


def test_such_a_folder_trains_and_evaluates(encoder, tmp_path, bundle):
    folder = write(tmp_path / "data", tier_rows(30))
    flags = [
        "--encoder",
        str(encoder),
        "--max_tokens",
        "32",
        "--head_width",
        "16",
        "--trainer.max_steps",
        "2",
    ]
    assert main(["train", "style", "--data", str(folder), "--out", str(tmp_path / "b"), *flags]) == 0
    ranker = Bundle.open(tmp_path / "b").ranker
    assert ranker["trained_steps"] == 2 and ranker["data"]["rows"]["train"] == 24
    assert ranker["data"]["files"]["data"]["sha256"] == digest(folder)
    assert main(["eval", str(bundle), str(folder), "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["rows"] == 30

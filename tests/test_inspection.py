"""A look at a pool tells what it was taken for, what a model sees, and what would be set aside."""

import json
import shutil

import numpy as np
import pytest

from scar.bundle import RANKER, Bundle, changing
from scar.cli import main
from scar.cli.inspect import visible
from scar.errors import InputError
from scar.files import write_json
from scar.inspection import QUANTILES, inspect_pool
from scar.serving.scorer import Scorer
from scar.settings import Reading
from tests.make import pool_rows, write_jsonl

BAD = [b"{not json", {"instruction": "only"}, {"instruction": "a", "response": 7}]


@pytest.fixture
def pool(tmp_path):
    rows = pool_rows(40)
    rows[7] = {**rows[3], "id": "again", "response": "  " + rows[3]["response"].upper() + "\n"}
    return write_jsonl(tmp_path / "pool.jsonl", [*rows, *BAD])


def test_counts_agree_with_the_rows(pool):
    seen = inspect_pool(pool)
    assert (seen.rows, seen.records, seen.whole) == (43, 40, True)
    assert seen.set_aside == {"invalid_json": 1, "missing_response": 1, "response_not_text": 1}
    assert seen.duplicates == 1
    rows = [json.loads(line) for line in pool.read_bytes().splitlines()[:40]]
    assert seen.instructions == len({row["instruction"] for row in rows})
    lengths = [len(row["response"]) for row in rows]
    assert seen.quantiles()["response"] == np.quantile(lengths, QUANTILES, method="inverted_cdf").tolist()


def test_the_layout_and_the_columns_of_each_file_are_told(tmp_path):
    write_jsonl(
        tmp_path / "a.jsonl", [{"instruction": "i", "context": "c", "response": "r", "category": "x"}]
    )
    write_jsonl(tmp_path / "b.jsonl", [{"id": 1, "prompt": "p", "chosen": "c", "rejected": "r"}])
    a, b = inspect_pool(tmp_path).files
    assert (a.kind, a.layout, a.read, a.left) == (
        "jsonl",
        "plain",
        ("instruction", "response"),
        ("context", "category"),
    )
    assert (b.layout, b.read, b.left) == ("preference", ("id", "prompt", "chosen", "rejected"), ())
    mapped = inspect_pool(tmp_path / "a.jsonl", reading=Reading(columns="input=context"))
    assert mapped.files[0].left == ("category",)
    assert mapped.samples[0].texts["instruction"] == "i\n\nc"


def test_a_ranker_counts_and_cuts_as_it_scores(bundle, tmp_path):
    rows = [*pool_rows(5), {"instruction": "what is the list", "response": "the key " * 200}]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    seen = inspect_pool(pool, bundle)
    explained = Scorer.load(bundle).explain(rows)
    assert (seen.unit, seen.limit) == ("tokens", 32)
    assert seen.lengths["both"].tolist() == [each.tokens for each in explained]
    assert seen.truncated == sum(each.truncated for each in explained) == 1
    assert seen.samples[0].texts["instruction"].startswith("[CLS] what is")
    assert seen.samples[0].texts["instruction"].endswith("[SEP]")


def test_three_records_are_shown_one_of_each_layout_first(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", pool_rows(9))
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    write_jsonl(tmp_path / "b.jsonl", [{"messages": talk}] * 4)
    shown = inspect_pool(tmp_path).samples
    assert [(s.record.address.file, s.record.address.line) for s in shown] == [
        ("a.jsonl", 1),
        ("a.jsonl", 2),
        ("b.jsonl", 1),
    ]


def test_only_the_first_rows_are_looked_at_where_the_pool_goes_on(pool):
    seen = inspect_pool(pool, rows=40)
    assert (seen.rows, seen.records, seen.whole, sum(seen.set_aside.values())) == (40, 40, False, 0)
    assert inspect_pool(pool, rows=43).whole


def test_a_pool_without_one_good_row_is_told_not_crashed_on(tmp_path, capsys):
    pool = write_jsonl(tmp_path / "pool.jsonl", [{"instruction": "", "response": ""}] * 3)
    seen = inspect_pool(pool)
    assert (seen.records, seen.quantiles()) == (0, {})
    assert main(["inspect", str(pool)]) == 0
    assert "3 empty_instruction" in capsys.readouterr().out


def test_a_wrong_guess_comes_with_a_row_and_the_remedy(tmp_path, capsys):
    rows = [{"instruction": "i", "response": None, "answer": "x"}] * 9
    assert main(["inspect", str(write_jsonl(tmp_path / "pool.jsonl", rows))]) == 0
    out = capsys.readouterr().out
    assert "pool.jsonl, line 1: the response is missing or null" in out
    assert '"answer": "x"' in out
    assert "100% would be set aside, most as missing_response (9): if plain is not" in out
    assert "--format" in out and "--columns" in out


def test_the_screen_shows_what_was_found(pool, bundle, capsys):
    assert main(["inspect", str(pool), "--ranker", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "read 43 rows (the whole pool): 40 records, 3 would be set aside" in out
    assert "record 1: pool.jsonl, line 1" in out
    assert "cut at 32 tokens a text: 0 records (0.0%)" in out
    assert "{not json" in out


def test_text_of_the_pool_cannot_drive_the_terminal(tmp_path, capsys):
    row = {"instruction": "a\x1b[2J[bold]b[/bold]", "response": "\x07\u202ec"}
    assert main(["inspect", str(write_jsonl(tmp_path / "pool.jsonl", [row]))]) == 0
    out = capsys.readouterr().out
    assert not set("\x1b\x07\u202e") & set(out)
    assert "[bold]b[/bold]" in out
    assert visible("é\n\t好\x1b") == "é\n\t好\N{REPLACEMENT CHARACTER}"


def test_a_number_of_rows_below_one_is_refused(pool, capsys):
    with pytest.raises(InputError, match="--rows must be at least 1"):
        inspect_pool(pool, rows=0)
    assert main(["inspect", str(pool), "--rows", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_very_many_columns_and_long_names_do_not_fill_the_screen(tmp_path, capsys):
    row = {"instruction": "i", "response": "r", "n" * 400: 0} | {f"c{n}": n for n in range(300)}
    assert main(["inspect", str(write_jsonl(tmp_path / "pool.jsonl", [row]))]) == 0
    out = capsys.readouterr().out
    assert "289 more" in " ".join(out.split()) and "nnn..." in out
    assert len(out.splitlines()) < 30


@pytest.mark.parametrize("name", ["context", "system", "system_prompt", "history"])
def test_a_column_that_is_often_a_part_of_what_was_asked_is_noted(tmp_path, name):
    pool = write_jsonl(
        tmp_path / "pool.jsonl", [{"instruction": "i", name: "c", "response": "r", "other": 1}]
    )
    (note,) = inspect_pool(pool).advice()
    assert note.startswith(f"{name}: not read") and f"--columns input={name}" in note
    assert not inspect_pool(pool, reading=Reading(columns=f"input={name}")).advice()


def test_of_a_cross_encoder_the_joint_sequence_is_shown_and_counted_once(quality_bundle, tmp_path, capsys):
    rows = [
        {"instruction": "what is the list", "response": "the key"},
        {"instruction": "what is the list", "response": "the key " * 200},
        *pool_rows(20),
    ]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    seen = inspect_pool(pool, quality_bundle)
    explained = Scorer.load(quality_bundle).explain(rows)
    assert (seen.limit, seen.sequence) == (48, "pair")
    assert seen.lengths["pair"].tolist() == [each.tokens for each in explained]
    assert seen.lengths["pair"].max() == 48
    # [CLS] what is the list [SEP] the key [SEP]: of the response alone there are two tokens, and 400.
    assert seen.lengths["pair"][0] == 9
    assert seen.lengths["response, uncut"].tolist()[:2] == [2, 400]
    assert seen.truncated == sum(each.truncated for each in explained) == 1
    first, second = seen.samples[:2]
    assert first.texts == {"pair": "[CLS] what is the list [SEP] the key [SEP]"}
    assert (first.lengths, first.truncated) == ({"pair": 9}, False)
    assert (second.lengths, second.truncated) == ({"pair": 48}, True)
    assert second.texts["pair"].startswith("[CLS] what is the list [SEP] the key the key")
    assert main(["inspect", str(pool), "--ranker", str(quality_bundle)]) == 0
    out = capsys.readouterr().out
    assert "record 1: pool.jsonl, line 1 (9 tokens)" in out and "line 2 (48 tokens, cut)" in out
    assert "cut at 48 tokens a pair: 1 records (4.5%)" in out
    assert "instruction:" not in out and "  both" not in out


@pytest.mark.parametrize("inputs", ["instruction", "response"])
def test_of_a_ranker_that_sees_one_text_that_text_is_shown(quality_bundle, tmp_path, inputs):
    copy = shutil.copytree(quality_bundle, tmp_path / "b")
    opened = Bundle.open(copy)
    with changing(opened) as change:
        write_json(
            change.folder / RANKER,
            {**opened.ranker, "text": {**opened.ranker["text"], "inputs": inputs, "token_types": False}},
        )
    row = {"instruction": "what is the list", "response": "the key"}
    seen = inspect_pool(write_jsonl(tmp_path / "pool.jsonl", [row]), copy)
    text = {"instruction": "[CLS] what is the list [SEP]", "response": "[CLS] the key [SEP]"}[inputs]
    assert seen.samples[0].texts == {inputs: text} and seen.sequence == "text"
    assert {name: values.tolist() for name, values in seen.lengths.items()} == {inputs: [len(text.split())]}

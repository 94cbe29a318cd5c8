"""What users do wrong: each is one line that says what to do and exit code 2, or a set-aside row."""

import json
import shutil

import pytest

from scar.cli import main
from tests.make import pool_rows, read_jsonl, tier_rows, write_jsonl


@pytest.fixture
def pool(tmp_path):
    return write_jsonl(tmp_path / "pool.jsonl", pool_rows(12))


@pytest.fixture
def error(capsys):
    """Run a command that must fail with exit code 2 and one line on standard error; gives the line."""

    def run(*arguments):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scar: error:")]
        assert len(lines) == 1
        return lines[0]

    return run


def filtering(pool, bundle, out, *more):
    return ("filter", pool, "--ranker", bundle, "--out", out, *(more or ("--top", "3")))


def test_missing_pool(error, bundle, tmp_path):
    assert "nowhere.jsonl: no such file" in error(
        *filtering(tmp_path / "nowhere.jsonl", bundle, tmp_path / "k.jsonl")
    )


def test_empty_pool(error, bundle, tmp_path):
    empty = write_jsonl(tmp_path / "empty.jsonl", [])
    assert "no rows" in error(*filtering(empty, bundle, tmp_path / "k.jsonl"))
    assert {path.name for path in tmp_path.iterdir()} == {"empty.jsonl"}
    assert "no rows" in error("score", empty, "--ranker", bundle, "--out", tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_folder_without_pools(error, bundle, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "no pool files" in error(*filtering(tmp_path / "folder", bundle, tmp_path / "k.jsonl"))


def test_wrong_column_is_named_with_those_there_are(error, pool, bundle, tmp_path):
    message = error(
        *filtering(pool, bundle, tmp_path / "k.jsonl", "--top", "3", "--columns", "response=answer")
    )
    assert "'answer'" in message and "'response'" in message


def test_a_carried_column_that_no_row_has_is_named(error, pool, bundle, tmp_path):
    message = error(*filtering(pool, bundle, tmp_path / "k.jsonl", "--per-group", "langage=3"))
    assert "'langage'" in message and "'source'" in message


def test_an_unknown_key_in_a_recipe_is_named(error, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(5))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: 2\nlearning_rat: 1.0e-5\n")
    assert "learning_rat" in error(
        "train", "style", "--config", recipe, "--data", data, "--out", tmp_path / "b"
    )


def test_an_unknown_trainer_argument_is_named(error, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(5))
    assert "devicez" in error(
        "train", "style", "--data", data, "--out", tmp_path / "b", "--trainer.devicez", "2"
    )


def test_a_value_of_the_wrong_type_is_named(error, tmp_path):
    assert "epochs" in error(
        "train", "style", "--data", tmp_path, "--out", tmp_path / "b", "--epochs", "many"
    )


def test_an_unknown_logger_is_named(error, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(5))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("logger: {os.system: {}}\n")
    assert "os.system" in error("train", "style", "--config", recipe, "--data", data, "--out", tmp_path / "b")


def test_an_unknown_tier_is_named_with_its_line(error, encoder, tmp_path):
    rows = tier_rows(6)
    rows[3]["responses"]["gold"] = "text"
    data = write_jsonl(tmp_path / "tiers.jsonl", rows)
    message = error("train", "style", "--data", data, "--out", tmp_path / "b", "--encoder", encoder)
    assert "line 4" in message and "'gold'" in message


def test_an_encoder_that_is_nowhere(error, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    assert "not in the hub cache" in error(
        "train", "style", "--data", data, "--out", tmp_path / "b", "--encoder", "no/such"
    )


def test_max_tokens_beyond_the_encoder(error, encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    message = error(
        "train", "style", "--data", data, "--out", tmp_path / "b", "--encoder", encoder, "--max_tokens", "999"
    )
    assert "at most 128" in message


def test_too_few_rows_to_split(error, encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(2))
    assert "too few" in error("train", "style", "--data", data, "--out", tmp_path / "b", "--encoder", encoder)


def test_a_constraint_without_quality(error, encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    message = error(
        "train", "style", "--data", data, "--out", tmp_path / "b", "--encoder", encoder, "--constraint", "abs"
    )
    assert "needs a quality" in message


@pytest.mark.parametrize("file", ["tower.onnx", "ranker.json", "tokenizer.json", "manifest.json"])
def test_a_missing_file_of_a_bundle_is_named(error, pool, bundle, tmp_path, file):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    (copy / file).unlink()
    assert file in error(*filtering(pool, copy, tmp_path / "k.jsonl"))


@pytest.mark.parametrize("file", ["tower.fused.onnx", "ranker.json", "model.safetensors", "gates.json"])
def test_an_altered_file_of_a_bundle_is_named(error, pool, bundle, tmp_path, file):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    raw = bytearray((copy / file).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / file).write_bytes(raw)
    assert f"{file}: altered" in error(*filtering(pool, copy, tmp_path / "k.jsonl"))


def test_a_folder_that_is_no_bundle(error, pool, tmp_path):
    assert "bundle" in error(*filtering(pool, tmp_path, tmp_path / "k.jsonl"))


def test_k_beyond_the_pool_keeps_all_and_says_so(pool, bundle, tmp_path, capsys):
    assert main([str(a) for a in filtering(pool, bundle, tmp_path / "k.jsonl", "--top", "500")]) == 0
    assert "asked for 500, there were only 12" in capsys.readouterr().out
    assert len(read_jsonl(tmp_path / "k.jsonl")) == 12


def test_k_of_zero(error, pool, bundle, tmp_path):
    assert "at least 1, got 0" in error(*filtering(pool, bundle, tmp_path / "k.jsonl", "--top", "0"))


def test_two_rules_at_once(error, pool, bundle, tmp_path):
    assert "exactly one" in error(
        *filtering(pool, bundle, tmp_path / "k.jsonl", "--top", "3", "--ratio", "0.5")
    )


def test_a_score_that_no_ranker_gives(error, pool, bundle, tmp_path):
    message = error(*filtering(pool, bundle, tmp_path / "k.jsonl", "--top", "3", "--by", "quality"))
    assert "'quality'" in message and "style" in message


def test_an_output_that_exists_is_not_replaced(error, pool, bundle, tmp_path):
    out = write_jsonl(tmp_path / "k.jsonl", [{"mine": 1}])
    assert "--overwrite" in error(*filtering(pool, bundle, out))
    assert read_jsonl(out) == [{"mine": 1}]


def test_an_output_in_a_folder_that_is_not_there(error, pool, bundle, tmp_path):
    assert "no such folder" in error(*filtering(pool, bundle, tmp_path / "no" / "k.jsonl"))


def test_an_output_below_a_file(error, pool, bundle, tmp_path):
    assert "pool.jsonl" in error("score", pool, "--ranker", bundle, "--out", tmp_path / "pool.jsonl" / "run")


def test_an_output_of_unknown_type(error, pool, bundle, tmp_path):
    assert ".jsonl" in error(*filtering(pool, bundle, tmp_path / "k.docx"))


def test_a_foreign_folder_is_not_written_into(error, pool, bundle, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert "not a run" in error("score", pool, "--ranker", bundle, "--out", tmp_path / "mine", "--overwrite")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_rows_that_cannot_be_scored_are_set_aside_with_their_reason(bundle, tmp_path, capsys):
    rows = [
        b'{"instruction": "what", "response": "cut',
        {"instruction": "what is it"},
        {"instruction": "what is it", "response": ""},
        {"response": "a list"},
        {"instruction": " ", "response": "a list"},
        {"instruction": "what is it", "response": "a list of items"},
    ]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    assert main(["score", str(pool), "--ranker", str(bundle), "--out", str(tmp_path / "run")]) == 0
    aside = [json.loads(line) for line in (tmp_path / "run" / "set_aside.jsonl").read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in aside] == [
        (1, "invalid_json"),
        (2, "missing_response"),
        (3, "empty_response"),
        (4, "missing_instruction"),
        (5, "empty_instruction"),
    ]
    assert "6 records: 1 scored, 5 set aside" in capsys.readouterr().out


def test_strict_stops_at_the_first_such_row(error, bundle, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", [*pool_rows(2), {"instruction": "what"}])
    assert "line 3" in error("score", pool, "--ranker", bundle, "--out", tmp_path / "run", "--strict")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("score", "p", "--ranker", "b", "--out", "r", "--shard", ""), "--shard"),
        (("score", "p", "--ranker", "b", "--out", "r", "--shard="), "--shard"),
        (("score", "p", "--ranker", "b", "--out", ""), "--out"),
        (("score", "p", "--ranker", "b", "--out", "", "--dry-run"), "--out"),
        (("plan", "p", "--ranker", "b", "--out", ""), "--out"),
        (("filter", "p", "--ranker", "b", "--top", "1", "--out", ""), "--out"),
        (("select", "r", "--top", "1", "--out", ""), "--out"),
        (("select", "", "--top", "1", "--out", "kept.jsonl"), "RUN"),
        (("gather", ""), "RUN"),
        (("status", ""), "RUN"),
        (("verify", ""), "PLACE"),
        (("verify", "r", "--pool", ""), "--pool"),
        (("score", "", "--ranker", "b", "--out", "r"), "POOL"),
        (("score", "p", "--ranker", "b", "--ranker", "", "--out", "r"), "--ranker"),
        (("train", "style", "--data", "d", "--out", ""), "--out"),
        (("train", "style", "--data", "", "--out", "b"), "--data"),
        (("train", "style", "--data", "d", "--out", "b", "--encoder", ""), "--encoder"),
        (("train", "quality", "--data", "d", "--out="), "--out"),
        (("train", "unseen", "--seen", "s", "--pool", "p", "--out", ""), "--out"),
        (("export", "b", "--out", ""), "--out"),
        (("gate", "", "--rows", "p"), "BUNDLE"),
        (("import", "c", "--out", ""), "--out"),
        (("calibrate", "b", "--labels", ""), "--labels"),
        (("eval", "b", "f", "--json", ""), "--json"),
        (("report", "r", "--out", ""), "--out"),
        (("why", "", "1"), "KEPT"),
        (("tiers", "ask", "p", "--out", ""), "--out"),
        (("tiers", "run", "q", "--out", ""), "--out"),
        (("tiers", "join", "p", "", "--out", "t.jsonl"), "REPLIES"),
        (("tiers", "join", "p", "r", "--out", ""), "--out"),
    ],
)
def test_an_unset_shell_variable_is_named(error, words, named):
    assert (
        error(*words)
        == f"scar: error: {named} is empty: give a value, or set the shell variable that stands there"
    )


def test_a_recipe_may_not_leave_a_path_empty_either(error, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text('out: ""\n')
    assert "--out is empty" in error("train", "style", "--config", recipe, "--data", "d")


def test_paths_that_lead_nowhere(error, tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    assert "Too many levels" in error("status", tmp_path / "loop")
    assert "File name too long" in error("status", tmp_path / ("x" * 300))
    assert r"b'\xff': not UTF-8" in error("status", "\udcff")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "the working folder is gone" in error("status", tmp_path)


def test_an_unknown_command(error):
    assert "scar --help" in error("rank", "pool.jsonl")


def test_a_missing_argument(error):
    assert "required: ranker" in error("score", "pool.jsonl")
    assert "--out RUN is required" in error("score", "pool.jsonl", "--ranker", "b")


def test_a_bug_of_ours_shows_its_traceback(monkeypatch, capsys):
    monkeypatch.setattr("scar.cli.score.Parser.read", lambda *_: 1 / 0)
    assert main(["score", "pool.jsonl"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.strip().endswith("ZeroDivisionError: division by zero")

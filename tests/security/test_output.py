"""Text of strangers is shown, and acts neither on a terminal nor in a table; and nothing of ours is a csv file."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from scar.bundle import GATES, seal
from scar.cli import main
from scar.cli.screen import visible
from tests.make import labelled_rows, pool_rows, read_jsonl, tier_rows, write_jsonl

ROOT = Path(__file__).parent.parent.parent
EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\rover \x08\x7f\x9b31m "
    "[red]mark[/red] [link=https://evil.example]x[/link] "
    "\u202egnol\u202c \u2066x\u2069 \u200b \x00 =cmd|' /C calc'!A0"
)
"""Title, clearing, colour, carriage return, backspace, C1, rich's marks, directions, nothing, NUL, a formula."""
NAME = EVIL.replace("\x00", "").replace("/", "|")
"""As much of it as a file's name can hold."""
MARKS = "[red]mark[|red] [link=https:||evil.example]x[|link]"
"""What the name of a pool's file may hold: one with control characters is refused."""
ACTS = [
    *map(chr, range(9)),
    *map(chr, range(11, 32)),
    *map(chr, range(127, 160)),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b",
]


def harmless(captured):
    """Check what was printed; gives it."""
    for text in captured:
        assert not [character for character in ACTS if character in text]
    return "".join(captured)


def evil_pool(folder):
    """A pool whose every name and text is hostile."""
    rows = [
        row | {"instruction": EVIL, "response": EVIL + str(n), EVIL: EVIL, "id": EVIL}
        for n, row in enumerate(pool_rows(6))
    ]
    bad = [{"instruction": EVIL, "response": None, EVIL: EVIL}, EVIL.encode(), b"\x1b[2J{"]
    folder.mkdir()
    return write_jsonl(folder / f"{MARKS}.jsonl", [*rows, *bad]).parent


def ran(*words):
    return main([str(word) for word in words])


def test_a_hostile_pool_is_inspected(bundle, tmp_path, capfd):
    assert ran("inspect", evil_pool(tmp_path / "pool"), "--ranker", bundle) == 0
    told = harmless(capfd.readouterr())
    assert told.count("[red]mark") >= 3 and "[link=https://evil.example]x[/link]" in told
    assert "�]0;owned�" in told and "would be set aside" in told


def test_a_hostile_pool_is_scored_and_selected(bundle, tmp_path, capfd):
    pool, run, kept = evil_pool(tmp_path / "pool"), tmp_path / NAME, tmp_path / f"{NAME}.jsonl"
    assert ran("score", pool, "--ranker", bundle, "--out", run, "--carry", EVIL) == 0
    assert ran("score", pool, "--ranker", bundle, "--out", run, "--carry", EVIL) == 0
    assert ran("status", run) == 0 and ran("verify", run) == 0
    assert ran("select", run, "--top", 2, "--out", kept) == 0
    assert ran("select", run, "--per-group", f"{EVIL}=2", "--out", kept, "--overwrite") == 0
    harmless(capfd.readouterr())
    assert [row["instruction"] for row in read_jsonl(kept)] == [EVIL] * 2, "the kept rows are as they were"


@pytest.mark.parametrize(
    "words",
    [
        ["score", NAME, "--ranker", NAME, "--out", NAME],
        ["inspect", f"{NAME}.jsonl"],
        ["select", NAME, "--top", "1", "--out", "kept.jsonl"],
        ["select", NAME, "--by", EVIL, "--top", "1", "--out", NAME],
        ["select", NAME, "--rules", NAME, "--out", NAME],
        ["score", "a", "--ranker", "b", "--out", "c", f"--{NAME}"],
        ["score", "a", "--ranker", "b", "--out", "c", "--engine", NAME],
        ["train", "style", "--data", NAME, "--out", "o", "--config", NAME],
        ["import", NAME, "--out", NAME],
        ["status", NAME],
        [NAME],
    ],
)
@pytest.mark.parametrize("machines", [[], ["--log-json"]])
def test_an_error_shows_what_was_wrong_and_does_nothing_else(words, machines, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert ran(*words, *machines) == 2
    out, err = capfd.readouterr()
    harmless((out, err))
    assert len(err.splitlines()) == 1
    assert not machines or json.loads(err)["message"]


def test_a_pool_whose_file_has_such_a_name_is_refused_and_the_name_shown(tmp_path, capfd):
    write_jsonl(tmp_path / f"{NAME}.jsonl", pool_rows(2))
    assert ran("inspect", tmp_path) == 2
    assert "control character; rename it" in harmless(capfd.readouterr())


def test_bad_rows_are_told_in_errors(bundle, tmp_path, capfd):
    pool = evil_pool(tmp_path / "pool")
    assert ran("score", pool, "--ranker", bundle, "--out", tmp_path / "run", "--strict", "true") == 2
    data = write_jsonl(tmp_path / f"{NAME}.jsonl", [EVIL.encode()])
    assert ran("train", "style", "--data", data, "--out", tmp_path / "out") == 2
    rows = [row | {"responses": {EVIL: "a"}} for row in tier_rows(3)]
    assert ran("train", "style", "--data", write_jsonl(data, rows), "--out", tmp_path / "out") == 2
    assert "red" in harmless(capfd.readouterr())


def test_tables_of_figures_show_names_of_sources(bundle, quality_bundle, tmp_path, capfd):
    tiers = write_jsonl(tmp_path / "t.jsonl", [row | {"source": EVIL} for row in tier_rows(8)])
    labels = write_jsonl(tmp_path / "l.jsonl", [row | {"source": EVIL} for row in labelled_rows(16)])
    for ranker, file in ((bundle, tiers), (quality_bundle, labels)):
        assert ran("eval", ranker, file, "--json", tmp_path / f"{file.stem}.json") == 0
    assert harmless(capfd.readouterr()).count("[red]mark[/red]") >= 2


def test_what_a_gate_once_said_is_shown(bundle, tmp_path, capfd):
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    told = json.loads((copy / GATES).read_bytes())
    for record in told["records"]:
        record.update(passed=False, reason=EVIL, engine="onnxruntime")
    (copy / GATES).write_text(json.dumps(told))
    seal(copy)
    ran("doctor", copy)
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(3))
    assert ran("score", pool, "--ranker", copy, "--out", tmp_path / "run") == 2
    assert "[red]mark" in harmless(capfd.readouterr())


def test_a_defect_of_ours_shows_its_traceback_and_does_nothing_else(monkeypatch, capfd):
    """No defect is known, so one is made: a command whose module has no function of that name."""
    from scar.cli import COMMANDS

    monkeypatch.setitem(COMMANDS, "status", ("scar.cli.runs", NAME, ""))
    assert ran("status", "x") == 1
    assert "AttributeError" in harmless(capfd.readouterr())


@pytest.mark.parametrize(
    "text", [EVIL, "\ud800 alone", "\u2028\u2029", "\ufffe", "tab\tand\nline", "Größe 你好 🎉"]
)
def test_visible_text_is_printable_and_as_long(text):
    assert len(visible(text)) == len(text)
    assert all(c.isprintable() or c in "\t\n" for c in visible(text))
    visible(text).encode()


def test_plain_text_is_shown_as_it_is():
    assert visible("Größe 你好 🎉\t[x]\n") == "Größe 你好 🎉\t[x]\n"


def test_no_file_of_ours_is_csv_so_no_formula_is_run_by_a_table_program():
    """Kept rows are jsonl or parquet, set-aside rows jsonl: no program that opens them runs a text after `=`."""
    writers = ("csv.writer", "csv.DictWriter", "to_csv", "write_csv", "to_excel", "CSVWriter")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "scar").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(writers)
    ]
    assert found == []


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".html"])
def test_kept_rows_go_to_no_file_that_a_table_program_opens(suffix, bundle, tmp_path, capfd):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(3))
    assert ran("filter", pool, "--ranker", bundle, "--top", 1, "--out", tmp_path / f"kept{suffix}") == 2
    assert ".parquet" in capfd.readouterr().err

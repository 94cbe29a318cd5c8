"""YAML and JSON from strangers: nothing is built by name, nothing grows without end, a wrong value is an InputError."""

import copy
import json
import os
import random
import shutil
import subprocess
import sys
import time
from math import nan
from pathlib import Path

import pytest

from scar.bundle import CANARIES, EVALUATION, GATES, MANIFEST, RANKER, TOKENIZER_CHECK, Bundle, seal
from scar.cli import main
from scar.cli.recipes import read_yaml_text
from scar.errors import GateError, InputError, RunError
from scar.files import read_json
from scar.runs import PLAN, Plan, open_folder
from scar.selection.keep import select
from scar.selection.output import Output
from scar.selection.rules import TopK
from scar.serving.plan import asked_before, clear
from scar.serving.report import finished_before
from scar.serving.scorer import Scorer
from scar.serving.status import status
from scar.serving.verify import verify
from scar.settings import Scoring
from tests.make import pool_rows, tier_rows, write_jsonl

LETTERS = "abcdefghij"
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip(LETTERS, LETTERS[1:], strict=False)
)
MODULE = "evil_module"
"""Imported, it makes a file."""
BAD = {
    "object": "encoder: !!python/object/apply:os.mkdir [RAN]\n",
    "new object": "encoder: !!python/object/new:evil_module.Evil []\n",
    "name": "encoder: !!python/name:evil_module.Evil\n",
    "module": "encoder: !!python/module:evil_module\n",
    "class path alone": "class_path: evil_module.Evil\n",
    "class path": "class_path: evil_module.Evil\ninit_args: {}\n",
    "class path of a setting": "encoder: {class_path: evil_module.Evil, init_args: {}}\n",
    "target of a setting": "encoder: {_target_: evil_module.Evil}\n",
    "class path of the trainer": "trainer: {class_path: evil_module.Evil}\n",
    "plugins": "trainer: {plugins: [{class_path: evil_module.Evil}]}\n",
    "callbacks": "trainer: {callbacks: [{class_path: evil_module.Evil}]}\n",
    "class path in a text": 'trainer: {plugins: \'{"class\\x5fpath": "evil_module.Evil"}\'}\n',
    "class path of a logger": "logger: {class_path: evil_module.Evil}\n",
    "name of a logger": "logger: {evil_module.Evil: {}}\n",
    "logger by name": "logger: evil_module.Evil\n",
    "class path of an argument": "data: {class_path: evil_module.Evil}\n",
    "dotted": "encoder.class_path: evil_module.Evil\n",
    "laughs": LAUGHS + "encoder: *j\n",
    "laughs in a setting of any content": LAUGHS + "trainer: {x: *j}\n",
    "itself": "trainer: &a {x: *a}\n",
    "deep list": "trainer: " + "[" * 20_000 + "]" * 20_000,
    "deep object": "trainer: " + "{a: " * 3_000 + "1" + "}" * 3_000,
    "deep keys": "? " * 5_000,
    "another recipe": "config: recipe.yaml\n",
    "huge number": "epochs: " + "9" * 5_000 + "\n",
    "not a number": "lr: .nan\n",
    "infinite": "lr: .inf\n",
    "no setting": "no_such_setting: 1\n",
    "list": "- 1\n",
    "nothing": "",
    "zeros": "\0\0",
    "no UTF-8": b"\xff\xfe\xff",
    "huge": "# " + "x" * (1 << 20),
}


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A folder to work in with a module that must not be imported."""
    (tmp_path / f"{MODULE}.py").write_text(
        "open('ran', 'w')\nclass Evil:\n    def __init__(self, **_): pass\n"
    )
    write_jsonl(tmp_path / "tiers.jsonl", tier_rows(8))
    done = subprocess.run([sys.executable, "-c", f"import {MODULE}"], cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "ran").exists(), "the module works"
    (tmp_path / "ran").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    assert not (tmp_path / "ran").exists()
    assert MODULE not in sys.modules


def written(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_recipe_is_refused_in_a_line_and_no_time(bad, evil, encoder, capsys):
    written(evil, "recipe.yaml", BAD[bad])
    started = time.perf_counter()
    words = ["train", "style", "--config", "recipe.yaml", "--data", "tiers.jsonl", "--out", "out"]
    # A recipe whose encoder is all right comes as far as its trainer.
    words += [] if "encoder" in str(BAD[bad]) else ["--encoder", str(encoder), "--max_tokens", "32"]
    assert main(words) == 2
    assert time.perf_counter() - started < 10
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scar: error: ") and len(line) < 3_000
    assert not (evil / "out").exists()
    # By the file itself: what would refuse it behind that is another guard.
    if "{class_path:" in str(BAD[bad]) or "_target_:" in str(BAD[bad]):
        assert "recipe.yaml: class_path: a recipe" in line or "recipe.yaml: _target_: a recipe" in line
    if bad == "laughs":
        assert "an alias: write the value itself" in line


@pytest.mark.parametrize("flag", ["--trainer", "--logger", "--encoder"])
def test_a_class_is_not_imported_for_a_flag_either(flag, evil):
    words = ["--data", "tiers.jsonl", "--out", "out", flag, "{plugins: {class_path: evil_module.Evil}}"]
    assert main(["train", "style", *words]) == 2


@pytest.mark.parametrize("spelled", ["--config=recipe.yaml", "--conf=recipe.yaml", "--config"])
def test_a_recipe_is_looked_into_however_it_is_named(spelled, evil, capsys):
    written(evil, "recipe.yaml", BAD["laughs"])
    words = [spelled, "recipe.yaml"] if spelled == "--config" else [spelled]
    assert main(["train", "style", *words, "--data", "tiers.jsonl", "--out", "out"]) == 2


RULES = {
    "object": "keep: [!!python/object/apply:os.mkdir [RAN]]\n",
    "class path": "keep: [{class_path: evil_module.Evil}]\n",
    "rule by path": "keep: [{evil_module.Evil: {}}]\n",
    "rule with underscores": "keep: [{__class__: {}}]\n",
    "laughs": LAUGHS + "keep: *j\n",
    "deep": "keep: " + "[" * 20_000 + "]" * 20_000,
    "huge number": "keep: [{TopK: {k: " + "9" * 5_000 + "}}]\n",
    "large number": "keep: [{Quantile: {q: 1e999}}]\n",
    "not a number": "keep: [{Above: {x: .nan}}]\n",
    "text": "keep: [{TopK: {k: a}}]\n",
    "fuse": "by: {fuse: __import__, of: {a: 1}}\nkeep: [{TopK: {k: 1}}]\n",
    "weights": "by: {fuse: rrf, of: {a: .nan}}\nkeep: [{TopK: {k: 1}}]\n",
    "nothing": "",
    "date": "keep: 2001-01-01\n",
    "no UTF-8": b"\xff",
}


@pytest.mark.parametrize("bad", RULES)
def test_bad_rules_are_refused_before_anything_is_read(bad, evil, capsys):
    written(evil, "rules.yaml", RULES[bad])
    assert main(["select", "run", "--rules", "rules.yaml", "--out", "kept.jsonl"]) == 2
    assert "rules.yaml: " in capsys.readouterr().err


def test_a_recipe_of_the_house_passes():
    for path in (Path(__file__).parent.parent.parent / "train").glob("*.yaml"):
        assert read_yaml_text(path)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 5_000, '{"a":' * 50_000, "nul", '"\\ud800'])
def test_json_that_is_none_is_refused(text, tmp_path):
    with pytest.raises(InputError, match=r"a\.json: not readable as JSON"):
        read_json(written(tmp_path, "a.json", text), "make it again")


# Property: a valid file with one value of it changed is read, or refused; nothing else may come out.
MOST = int(os.environ.get("SCAR_VARIANTS", 150))
"""Variants of each file that are tried."""
VALUES = [None, True, -1, 0, 10**30, 1e308, nan, "", "../x", "\0\x1b[31m", [], {}, [1], {"a": 1}, "999"]
ROWS = [
    *pool_rows(2),
    {
        "messages": [
            {"role": role, "content": "a list"}
            for role in ("system", "user", "assistant", "user", "assistant")
        ]
    },
]


def places(value, path=()):
    """Yield the path of each value; of a list the first three and the last."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for number in sorted({*range(min(3, len(value))), *range(max(0, len(value) - 1), len(value))}):
            yield from places(value[number], (*path, number))


def changed(value, path, new):
    """Give the value with another one at a path."""
    if not path:
        return new
    whole = copy.deepcopy(value)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return whole


def variants(file):
    """Yield the content of a JSON file with each of its values changed, and with each of its keys left out."""
    whole = json.loads(file.read_bytes())
    for path in places(whole):
        for value in VALUES:
            yield path, value, json.dumps(changed(whole, path, value))
        if path and isinstance(path[-1], str):
            parent = copy.deepcopy(whole)
            inner = parent
            for key in path[:-1]:
                inner = inner[key]
            del inner[path[-1]]
            yield path, "left out", json.dumps(parent)


def tried(use, file, ready=lambda: None):
    """Use variants of a file, drawn by chance; only what is meant for the user may come out."""
    wrong, count, all_ = [], 0, list(variants(file))
    for path, value, text in random.Random(len(all_)).sample(all_, min(MOST, len(all_))):
        file.write_text(text)
        ready()
        try:
            use()
        except (InputError, RunError, GateError):
            pass
        except Exception as error:
            wrong.append((path, value, repr(error)[:200]))
        count += 1
    assert not wrong, f"{len(wrong)} of {count}: {wrong[:5]}"
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", [RANKER, MANIFEST, GATES, CANARIES, TOKENIZER_CHECK, EVALUATION])
@pytest.mark.parametrize("kind", ["bundle", "quality_bundle"])
def test_whatever_value_of_a_bundle_is_changed(kind, name, request, tmp_path):
    folder = Path(shutil.copytree(request.getfixturevalue(kind), tmp_path / "b"))

    def use():
        scorer = Scorer.load(folder, Scoring(threads=1))
        scorer.score(ROWS)
        scorer.explain(ROWS)

    count = tried(use, folder / name, lambda: None if name == MANIFEST else seal(folder))
    assert count > 100


@pytest.fixture(scope="module")
def run(bundle, tmp_path_factory):
    """A finished run of three chunks."""
    folder = tmp_path_factory.mktemp("run")
    pool = write_jsonl(folder / "pool.jsonl", pool_rows(9))
    words = ["score", str(pool), "--ranker", str(bundle), "--out", str(folder / "run"), "--chunk_rows", "3"]
    assert main(words) == 0
    return folder / "run"


@pytest.mark.slow
def test_whatever_value_of_a_plan_is_changed(run, tmp_path):
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    folder = open_folder(copied)

    def use():
        asked_before(Plan.read(folder))
        status(copied)
        verify(copied)
        clear(folder)

    kept = {path.name for path in tmp_path.iterdir()}
    assert tried(use, copied / PLAN) > 100
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.slow
def test_whatever_value_of_a_finished_run_is_changed(run, tmp_path):
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    for name in ("run.json", "ledger/00000001.json", ".inputs.json"):
        whole = (copied / name).read_bytes() if (copied / name).exists() else None
        if whole is None:
            continue

        def use():
            status(copied)
            verify(copied)
            finished_before(open_folder(copied))
            select(copied, TopK(2), tmp_path / "kept.jsonl", output=Output(overwrite=True))

        tried(use, copied / name)
        (copied / name).write_bytes(whole)


def test_a_bundle_whose_every_file_is_a_bomb_of_depth_is_refused(bundle, tmp_path):
    for name in (RANKER, MANIFEST, GATES, CANARIES):
        folder = Path(shutil.copytree(bundle, tmp_path / name))
        (folder / name).write_text('{"a":' * 100_000)
        if name != MANIFEST:
            seal(folder)
        with pytest.raises(InputError, match=f"{name}: not readable as JSON"):
            Scorer.of_bundle(Bundle.open(folder), Scoring(threads=1))

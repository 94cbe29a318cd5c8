"""The README tells the truth about files, commands and the Python example."""

import re
from pathlib import Path

import pytest

from scar.cli import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_file_map_names_every_module_with_a_line():
    lines = re.findall(r"^(scar/\S+\.py(?:  \S+\.py)*) +\S", README, re.MULTILINE)
    named: set[str] = set()
    for line in lines:
        first, *others = line.split()
        named |= {first, *(f"{first.rpartition('/')[0]}/{other}" for other in others)}
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scar").rglob("*.py")}
    there = {path for path in there if path.startswith("scar/cli/__init__") or "__" not in path}
    assert there <= named | {"scar/__init__.py"} and named <= there | {"scar/__init__.py"}


def test_the_command_table_is_the_command_list():
    rows = re.findall(r"^\| `scar ([a-z ]+?) [-A-Z]", README, re.MULTILINE)
    assert set(rows) == set(COMMANDS)


def test_the_python_example_runs(bundle, tmp_path, monkeypatch):
    from tests.make import pool_rows, write_jsonl

    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "style").symlink_to(bundle)
    write_jsonl(tmp_path / "pool.jsonl", pool_rows(9))
    exec(compile(example, "README.md", "exec"), {})
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 9


def test_the_rules_examples_are_rules():
    from jsonargparse import get_loader

    from scar.selection.config import from_config, scores_of
    from scar.selection.fuse import Fuse

    examples = re.findall(r"```yaml\n(by:.*?)```", README, re.DOTALL)
    (stages, by), (combined, fused), (whole, _) = (
        from_config(get_loader("yaml")(example)) for example in examples
    )
    assert by == "style" and len(stages.rules) == 3
    assert fused == Fuse("rrf", {"style": 1, "quality": 2})
    assert scores_of(combined, fused) == ["style", "quality", "quality_p", "unseen"]
    assert [type(rule).__name__ for rule in whole.rules][-1] == "Diverse"


def test_the_table_of_rules_names_every_rule():
    from scar.rules import RULES

    table = README[README.index("## Choosing what to keep") : README.index("## On a GPU")]
    assert [name for name in RULES if f"`{name}`" not in table] == []


@pytest.mark.parametrize("folder", ["train", "serve", "data"])
def test_every_folder_has_a_readme_that_names_its_files(folder):
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in (ROOT / folder).iterdir() if path.suffix in (".py", ".yaml", ".jsonl")]
    assert files and all(f"`{name}`" in text for name in files)


def test_nothing_is_left_to_fill_in():
    for readme in (
        ROOT / "README.md",
        *(ROOT / folder / "README.md" for folder in ("train", "serve", "data")),
    ):
        assert "_PLACE" not in readme.read_text(encoding="utf-8"), readme

"""Every recipe in train/ runs: parsed as it stands, trained on a tiny encoder of its architecture, exported, scored."""

import json
from pathlib import Path

import numpy as np
import pytest

from scar import Scorer
from scar.bundle import Bundle
from scar.cli import main
from tests.make import labelled_rows, pool_rows, tier_rows, tiny_encoder, write_jsonl

RECIPES = sorted((Path(__file__).parents[2] / "train").glob("*.yaml"))
ARCHITECTURE = {
    "style-minilm": "bert",
    "style-roberta": "roberta",
    "style-modernbert": "modernbert",
    "quality-minilm": "bert",
    "quality-deberta": "deberta-v2",
}
ROWS = {"style": tier_rows, "quality": labelled_rows}
GRAPH = {"style": "tower.onnx", "quality": "model.onnx"}


def kind_of(recipe):
    return recipe.stem.partition("-")[0]


def test_every_recipe_has_its_architecture_here():
    assert {recipe.stem for recipe in RECIPES} == set(ARCHITECTURE)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_parses_and_names_itself_in_its_command(recipe, capsys):
    with pytest.raises(SystemExit) as stop:
        main(
            ["train", kind_of(recipe), "--config", str(recipe), "--data", "d", "--out", "o", "--print_config"]
        )
    assert stop.value.code == 0 and "encoder:" in capsys.readouterr().out
    assert f"--config train/{recipe.name}" in recipe.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_trains_two_steps_exports_and_scores(recipe, tmp_path):
    kind = kind_of(recipe)
    encoder = tiny_encoder(tmp_path / "encoder", ARCHITECTURE[recipe.stem], length=512)
    data = write_jsonl(tmp_path / "rows.jsonl", ROWS[kind](60))
    arguments = ["train", kind, "--config", str(recipe), "--encoder", str(encoder), "--data", str(data)]
    cpu = ["--trainer.accelerator", "cpu", "--trainer.max_steps", "2"]
    # Two steps at a pair ranker's own rate leave scores so near each other that no gate can tell rounding.
    cpu += ["--lr", "3e-2"] if kind == "quality" else []
    assert main([*arguments, "--out", str(tmp_path / "b"), *cpu]) == 0
    assert Bundle.open(tmp_path / "b").ranker["trained_steps"] == 2
    assert main(["export", str(tmp_path / "b")]) == 0
    records = json.loads((tmp_path / "b" / "gates.json").read_text())["records"]
    assert records[0]["graph"] == GRAPH[kind] and records[0]["passed"]
    scores = Scorer.load(tmp_path / "b").score(pool_rows(5))
    assert np.isfinite(scores).all() and scores.std() > 0

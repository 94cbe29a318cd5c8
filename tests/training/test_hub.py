"""Folders for the hub: transformers loads them, they come back as they went, and a push says what went wrong."""

import json
import resource
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import scar
from scar import Scorer
from scar.bundle import Bundle
from scar.cli import main
from scar.settings import Scoring
from scar.training.backbone import load
from scar.training.save import load_ranker
from scar.training.style.train import train_style
from tests.make import (
    labelled_rows,
    pool_rows,
    sentence,
    tier_rows,
    tiny_classifier,
    tiny_encoder,
    write_jsonl,
)
from tests.training.fake_hub import FakeHub

SOURCES = str(Path(scar.__file__).parent)


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    """The trained and exported bundle as a folder for the hub. Tests that change it copy it."""
    out = tmp_path_factory.mktemp("hub") / "folder"
    assert main(["export", str(bundle), "--to-hub-folder", str(out)]) == 0
    return out


def loaded(folder):
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    return model


def test_transformers_loads_the_trained_encoder_and_the_tokenizer(folder, bundle):
    trained, theirs = load_ranker(Bundle.open(bundle)).encoder.state_dict(), loaded(folder).state_dict()
    assert set(trained) == set(theirs) and all(torch.equal(trained[key], theirs[key]) for key in trained)
    text = "What is a list, clearly?"
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert ids == Scorer.load(bundle).encoder.text.encode([text], 32).ids.tolist()


@pytest.mark.slow
def test_the_folder_comes_back_with_the_same_scores(folder, bundle, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(40))
    assert main(["import", str(folder), "--out", str(tmp_path / "b")]) == 0
    assert main(["export", str(tmp_path / "b"), "--rows", str(pool)]) == 0
    one, two = (load_file(path / "model.safetensors") for path in (bundle, tmp_path / "b"))
    assert set(one) == set(two) and all(torch.equal(one[key], two[key]) for key in one)
    scores = [Scorer.load(path).score(pool_rows(40)) for path in (bundle, tmp_path / "b")]
    np.testing.assert_array_equal(*scores)
    old, back = Bundle.open(bundle).ranker, Bundle.open(tmp_path / "b").ranker
    assert all(back[key] == old[key] for key in ("name", "tiers", "text", "head", "trained_steps", "data"))
    assert back["imported"]["name"] == "folder"
    card = (tmp_path / "b" / "README.md").read_text()
    assert "trained with scar-rank" in card and "imported from" in card and "Ordering accuracy" in card


def test_no_rows_of_the_data_and_no_paths_leave_the_house(folder, bundle):
    names = {path.name for path in folder.iterdir()}
    assert "gate_rows.npz" not in names and "manifest.json" not in names
    assert {"tower.onnx", "tower.fused.onnx", "head.onnx", "gates.json", "evaluation.json"} <= names
    ranker = json.loads((folder / "ranker.json").read_text())
    assert "logger" not in ranker["settings"]
    encoder = Bundle.open(bundle).ranker["encoder"]["name"]
    for path in folder.iterdir():
        content = path.read_bytes()
        # Graphs would name the source files of every line that made them.
        assert not any(text.encode() in content for text in (encoder, SOURCES, "site-packages")), path.name


def test_the_card_has_the_hubs_fields(folder):
    front, text = (folder / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    fields = yaml.safe_load(front)
    assert fields["library_name"] == "scar-rank" and fields["license"] == "other"
    assert fields["pipeline_tag"] == "text-classification" and "base_model" not in fields
    assert "AutoModel.from_pretrained" in text and "scar import" in text and "Ordering accuracy" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "pooling"), [("bert", "first_token"), ("roberta", "auto"), ("modernbert", "auto")]
)
def test_every_pooling_loads_whole_and_comes_back(kind, pooling, settings, tmp_path):
    from dataclasses import replace

    encoder = tiny_encoder(tmp_path / "encoder", kind)
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(20))
    quick = replace(settings, encoder=str(encoder), pooling=pooling, epochs=1)
    train_style(quick, data, tmp_path / "b")
    assert main(["export", str(tmp_path / "b"), "--to-hub-folder", str(tmp_path / "f")]) == 0
    assert not list((tmp_path / "f").glob("*.onnx"))
    loaded(tmp_path / "f")
    assert main(["import", str(tmp_path / "f"), "--out", str(tmp_path / "c")]) == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in "bc")
    assert set(one) == set(two) and all(torch.equal(one[key], two[key]) for key in one)
    assert load(str(tmp_path / "f")).trained_pooler == load(str(tmp_path / "b")).trained_pooler


@pytest.mark.slow
def test_graphs_are_made_first_where_they_are_asked_for(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    more = ["--graphs", "reference", "--to-hub-folder", str(tmp_path / "f")]
    assert main(["export", str(copy), *more]) == 0
    old, new = (json.loads((path / "gates.json").read_text())["records"] for path in (bundle, tmp_path / "f"))
    assert len(new) == len(old) + 1


def error(capsys, arguments, code=2):
    capsys.readouterr()
    assert main(arguments) == code
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1, shown
    return shown


@pytest.mark.parametrize("room", [500, 60_000])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(room, bundle, tmp_path, capsys):
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    try:
        shown = error(capsys, ["export", str(bundle), "--to-hub-folder", str(tmp_path / "f")], code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert "File too large" in shown and not list(tmp_path.iterdir())


def test_a_folder_that_is_not_ours_is_not_overwritten(folder, bundle, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "f")
    command = ["export", str(bundle), "--to-hub-folder", str(copy)]
    assert "--overwrite" in error(capsys, command)
    assert main([*command, "--overwrite"]) == 0
    (copy / ".git").mkdir()
    assert "choose another" in error(capsys, [*command, "--overwrite"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    command[-1] = str(tmp_path / "mine")
    assert "choose another" in error(capsys, [*command, "--overwrite"])
    command[-1] = str(bundle)
    assert "the bundle itself" in error(capsys, [*command, "--overwrite"])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--private"], "--push-to-hub"),
        (["--overwrite"], "--to-hub-folder"),
        (["--push-to-hub", "a/b/c"], "ORG/NAME"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(more, told, bundle, capsys):
    assert told in error(capsys, ["export", str(bundle), *more])


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("ranker.json", "{}", "kind None"),
        ("ranker.json", "[]", "kind None"),
        ("ranker.json", "[", "not readable as JSON"),
        ("ranker.json", {"kind": "other"}, "kind 'other'"),
        ("ranker.json", {"kind": "quality"}, "not of a quality ranker"),
        ("ranker.json", {"head": {"width": "wide", "pooling": "pooler"}}, "not of a style ranker"),
        ("ranker.json", {"format": 2}, "format 2"),
        ("ranker.json", {"kind": ["style"]}, "kind ['style']"),
        ("ranker.json", {"name": 5}, "name is 5"),
        ("evaluation.json", '{"rows": 1}', "evaluation.json are not of a style ranker"),
        ("model.safetensors", "x", "folder"),
        ("style_head.safetensors", "x", "folder"),
    ],
)
def test_a_changed_folder_is_refused(file, content, told, folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "f")
    if isinstance(content, dict):
        content = json.dumps(json.loads((copy / file).read_text()) | content)
    (copy / file).write_text(content)
    assert told in error(capsys, ["import", str(copy), "--out", str(tmp_path / "b")])


@pytest.mark.parametrize("name", ["model.safetensors", "style_head.safetensors"])
def test_whole_numbers_for_weights_are_refused(name, folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "f")
    save_file({key: weight.int() for key, weight in load_file(copy / name).items()}, copy / name)
    shown = error(capsys, ["import", str(copy), "--out", str(tmp_path / "b")])
    assert name in shown and "int32" in shown


def test_heads_of_another_ranker_are_refused(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "f")
    described = json.loads((copy / "ranker.json").read_text())
    described["head"]["width"] = 5
    (copy / "ranker.json").write_text(json.dumps(described))
    assert "of another shape" in error(capsys, ["import", str(copy), "--out", str(tmp_path / "b")])


def test_a_folder_of_ours_has_its_own_encoder(folder, tmp_path, capsys):
    command = ["import", str(folder), "--out", str(tmp_path / "b"), "--encoder", "bert"]
    assert "leave out --encoder" in error(capsys, command)


def whole(folder):
    """Load a folder as a classifier, head and all."""
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    return model


def same_weights(one, two):
    one, two = (load_file(path / "model.safetensors") for path in (one, two))
    return set(one) == set(two) and all(torch.equal(one[key], two[key]) for key in one)


def there_and_back(bundle, tmp_path):
    """Write a folder of a bundle and import it; gives the folder and the bundle."""
    assert main(["export", str(bundle), "--to-hub-folder", str(tmp_path / "f")]) == 0
    assert main(["import", str(tmp_path / "f"), "--out", str(tmp_path / "back")]) == 0
    old, back = (Bundle.open(path).ranker for path in (bundle, tmp_path / "back"))
    assert all(back[key] == old[key] for key in ("name", "kind", "text", "head", "calibration"))
    return tmp_path / "f", tmp_path / "back"


@pytest.mark.parametrize(
    "kind",
    [
        "electra",
        *(pytest.param(k, marks=pytest.mark.slow) for k in ("bert", "roberta", "modernbert", "deberta-v3")),
    ],
)
def test_an_imported_classifier_is_published_as_the_class_that_it_was(kind, tmp_path):
    checkpoint = tiny_classifier(tmp_path / "c", kind)
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "b")]) == 0
    folder, back = there_and_back(tmp_path / "b", tmp_path)
    published, original = whole(folder).state_dict(), whole(checkpoint).state_dict()
    assert all(torch.equal(published[key], original[key]) for key in original)
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == json.loads((checkpoint / "config.json").read_text())["architectures"]
    assert same_weights(tmp_path / "b", back) and not (folder / "cross_head.safetensors").exists()
    front, text = (folder / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    assert yaml.safe_load(front)["library_name"] == "transformers"
    assert "AutoModelForSequenceClassification" in text and str(tmp_path) not in text


def judged_rows(n):
    return [
        {
            "instruction": f"what is {sentence(number, 3)}",
            "response": sentence(f"j{number}", 6, [("whatever", "clearly")[number % 2]] * 30),
            "label": number % 2,
        }
        for number in range(n)
    ]


def trained_quality(tmp_path, kind, **more):
    from scar.settings import QualitySettings
    from scar.training.quality.train import train_quality

    encoder = tiny_encoder(tmp_path / "encoder", kind)
    settings = QualitySettings(encoder=str(encoder), max_tokens=48, epochs=1, lr=3e-3, **more)
    train_quality(settings, write_jsonl(tmp_path / "judged.jsonl", judged_rows(80)), tmp_path / "b")
    return tmp_path / "b"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "pooling", "has_class"),
    [
        ("bert", "auto", True),
        ("deberta-v2", "first_token", True),
        ("bert", "mean", False),
        ("roberta", "first_token", False),
    ],
)
def test_a_trained_quality_ranker_is_published_whole_where_its_class_has_its_head(
    kind, pooling, has_class, tmp_path
):
    bundle = trained_quality(tmp_path, kind, pooling=pooling)
    folder, back = there_and_back(bundle, tmp_path)
    assert (folder / "cross_head.safetensors").exists() is not has_class
    (whole if has_class else loaded)(folder)
    assert same_weights(bundle, back)
    assert load(str(folder)).trained_pooler == load(str(bundle)).trained_pooler
    card = (folder / "README.md").read_text()
    assert "log odds that the response is good" in card and "AUC on held-out rows" in card
    assert "taught by | labels" in card and "Ordering accuracy" not in card
    assert ("cross_head" in card) is not has_class
    assert main(["export", str(bundle), "--to-hub-folder", str(folder), "--overwrite"]) == 0


def trained_unseen(folder, encoder):
    from scar.settings import UnseenSettings
    from scar.training.unseen.train import train_unseen

    files = [
        write_jsonl(folder / f"{name}.jsonl", labelled_rows(60, seed=name)[odd::2])
        for odd, name in enumerate(("seen", "pool"))
    ]
    settings = UnseenSettings(encoder=str(encoder), max_tokens=48, folds=2)
    train_unseen(settings, *files, folder / "out")
    return folder / "out" / "bundle"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["quality", "unseen"])
def test_the_graphs_of_a_cross_encoder_that_comes_back_give_the_same_scores_and_columns(
    kind, quality_bundle, encoder, tmp_path
):
    bundle = quality_bundle if kind == "quality" else trained_unseen(tmp_path, encoder)
    _, back = there_and_back(bundle, tmp_path)
    pool = write_jsonl(tmp_path / "rows.jsonl", pool_rows(40))
    assert main(["export", str(back), "--rows", str(pool)]) == 0
    one, two = (
        Scorer.load(path, Scoring(graph="reference")).explain(pool_rows(40)) for path in (bundle, back)
    )
    assert [each.score for each in one] == [each.score for each in two]
    assert [each.columns for each in one] == [each.columns for each in two]
    assert np.std([each.score for each in one]) > 0
    beside = {"quality": {"quality_p", "quality_percentile"}, "unseen": {"unseen_percentile", "p_seen"}}
    assert set(one[0].columns) == beside[kind]


@pytest.mark.slow
def test_a_changed_folder_of_a_cross_encoder_is_refused(tmp_path, capsys):
    bundle = trained_quality(tmp_path, "bert", pooling="mean")
    folder, _ = there_and_back(bundle, tmp_path)
    described = json.loads((folder / "ranker.json").read_text())
    for change, told in (
        ({"head": described["head"] | {"activation": "wish"}}, "not of a quality ranker"),
        ({"head": described["head"] | {"activation": None}}, "unexpected: hidden.0.bias"),
        ({"objective": {"kind": "taste"}}, "not of a quality ranker"),
    ):
        (folder / "ranker.json").write_text(json.dumps(described | change))
        assert told in error(capsys, ["import", str(folder), "--out", str(tmp_path / "no")])
    (folder / "ranker.json").write_text(json.dumps(described))
    (folder / "cross_head.safetensors").unlink()
    assert "cross_head.safetensors" in error(capsys, ["import", str(folder), "--out", str(tmp_path / "no")])


def test_a_classifier_whose_ranker_json_says_another_head_is_refused(tmp_path, capsys):
    checkpoint = tiny_classifier(tmp_path / "c", "electra")
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "b")]) == 0
    folder, _ = there_and_back(tmp_path / "b", tmp_path)
    described = json.loads((folder / "ranker.json").read_text())
    described["head"]["activation"] = "tanh"
    (folder / "ranker.json").write_text(json.dumps(described))
    assert "head is not that of the class" in error(
        capsys, ["import", str(folder), "--out", str(tmp_path / "no")]
    )


TOKEN = "hf_" + "x" * 34


@pytest.fixture
def hub(monkeypatch):
    """A hub of this machine, as far as a push needs one."""
    with FakeHub() as server:
        endpoint(monkeypatch, server.address)
        yield server


def endpoint(monkeypatch, address):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def test_a_push_sends_the_folder_and_no_token_is_shown(hub, bundle, tmp_path, capfd):
    assert main(["export", str(bundle), "--push-to-hub", "org/name", "--private"]) == 0
    out, err = capfd.readouterr()
    assert "org/name" in out and TOKEN not in out + err
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert hub.created[0]["name"] == "name" and hub.created[0]["organization"] == "org"
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"
    pushed = tmp_path / "pushed"
    pushed.mkdir()
    for name, content in hub.files.items():
        (pushed / name).write_bytes(content)
    loaded(pushed)
    assert main(["import", str(pushed), "--out", str(tmp_path / "b")]) == 0


def test_what_the_hub_refuses_is_told_in_one_line(hub, bundle, capsys):
    shown = error(capsys, ["export", str(bundle), "--push-to-hub", "org/forbidden"], code=1)
    assert "403" in shown and "no right to write here" in shown and TOKEN not in shown


def test_without_a_network_a_push_fails_in_one_line(bundle, capsys, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    endpoint(monkeypatch, f"http://127.0.0.1:{port}")
    shown = error(capsys, ["export", str(bundle), "--push-to-hub", "org/name"], code=1)
    assert "cannot be reached" in shown and str(port) in shown and TOKEN not in shown


def test_without_a_token_a_push_says_where_to_get_one(bundle, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "hf auth login" in error(capsys, ["export", str(bundle), "--push-to-hub", "org/name"])

"""An encoder as a bundle: what its graph gives, what the gate refuses, and what cannot be asked of it."""

import json
import shutil

import numpy as np
import onnx
import pytest

from scar.bundle import CANARIES, GRAPHS, MODEL, Bundle
from scar.cli import main
from scar.encoding import PairEncoder
from scar.errors import InputError, RunError
from scar.serving.choice import Choice
from scar.serving.embedder import Embedder
from scar.serving.gates import Reference, judge, load_gate_rows
from scar.serving.opened import Opened
from scar.settings import Scoring
from scar.training.engine import torch_model
from scar.training.save import load_ranker
from scar.training.variants import gated
from tests.make import pool_rows, tiny_encoder, write_jsonl
from tests.serving.made import joined, masked_means, remade
from tests.training.test_export import corrupt


@pytest.fixture(scope="module")
def reference(encoder_bundle):
    opened = Bundle.open(encoder_bundle)
    model = torch_model(load_ranker(opened), 0, 512)
    return Reference.of(
        model, load_gate_rows(encoder_bundle / "gate_rows.npz"), PairEncoder.of_bundle(opened)
    )


def test_the_bundle_holds_an_encoder_and_graphs_that_passed(encoder_bundle, encoder):
    bundle = Bundle.open(encoder_bundle)
    assert (bundle.kind, bundle.name, bundle.width) == ("encoder", "encoder", 32)
    known = bundle.ranker["encoder"]
    assert known["name"] == str(encoder) and known["revision"].startswith("sha256:")
    assert bundle.ranker["text"] | {"inputs": "text", "max_tokens": 40} == bundle.ranker["text"]
    assert "trained_steps" not in bundle.ranker
    for record in bundle.gates():
        real, hard = record["real"], record["hard"]
        assert record["passed"] and real["rows"] == 42 and hard["rows"] > 20
        assert max(real["max_difference"], hard["max_difference"]) <= 1e-4 * real["sigma"]
        assert real["spearman"] is None
    assert [record["graph"] for record in bundle.gates()] == ["model.onnx", "model.fused.onnx"]
    assert "no score" in (encoder_bundle / "README.md").read_text()


def test_the_graph_takes_ids_and_mask_and_gives_the_embedding_alone(encoder_bundle):
    graph = onnx.load(encoder_bundle / MODEL).graph
    assert [value.name for value in graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in graph.output] == ["embedding"]
    assert all(axis.dim_param for value in graph.input for axis in value.type.tensor_type.shape.dim)


def test_the_gate_refuses_a_corrupted_weight(encoder_bundle, reference, tmp_path):
    shutil.copy(encoder_bundle / MODEL, tmp_path / MODEL)
    assert gated(MODEL, GRAPHS["encoder"], tmp_path, reference, 0)["passed"]
    corrupt(tmp_path / MODEL, "word_embeddings")
    record = gated(MODEL, GRAPHS["encoder"], tmp_path, reference, 0)
    assert not record["passed"] and "differ" in record["reason"]


def test_reduced_precision_of_an_encoder_is_judged_by_nothing(reference):
    class Reduced:
        precision = "bf16"

    record = judge(reference, Reduced())
    assert not record["passed"] and record["unverified"] and "an encoder gives none" in record["reason"]


def test_an_engine_that_gives_other_embeddings_than_the_bundle_has_is_refused(encoder_bundle, tmp_path):
    other = remade(encoder_bundle, tmp_path / "other")
    known = json.loads((other / CANARIES).read_bytes())
    known["scores"][1][3] += 1.0
    (other / CANARIES).write_text(json.dumps(known))
    remade(other, tmp_path / "sealed")
    with pytest.raises(RunError, match="does not give the embeddings the bundle has in canaries.json"):
        Embedder.load(tmp_path / "sealed")
    Embedder.load(encoder_bundle).check()


@pytest.mark.parametrize("vectors", [[[0.0], [0.0, 1.0], [0.0]], [[0.0], "x", [0.0]], [0.0, [1.0], 0.0]])
def test_canaries_that_are_no_vectors_are_told(encoder_bundle, tmp_path, vectors):
    other = remade(encoder_bundle, tmp_path / "other")
    known = json.loads((other / CANARIES).read_bytes()) | {"scores": vectors}
    (other / CANARIES).write_text(json.dumps(known))
    remade(other, tmp_path / "sealed")
    with pytest.raises(InputError, match="not texts and their scores"):
        Embedder.load(tmp_path / "sealed")


def test_the_torch_engine_gives_the_same_embeddings(encoder_bundle):
    bundle = Bundle.open(encoder_bundle)
    embedder = Embedder.load(encoder_bundle)
    pairs = load_gate_rows(encoder_bundle / "gate_rows.npz")
    choice = Choice("", "torch", "fp32", "")
    there = Opened.of(bundle, choice, embedder.scoring).model.score(pairs)
    np.testing.assert_allclose(there, embedder.model.score(pairs), atol=2e-6)
    assert there.shape == (42, 32)


@pytest.mark.slow
def test_an_encoder_of_another_architecture_is_exported_and_compared_on_ones_own_rows(tmp_path, capsys):
    encoder, rows = tiny_encoder(tmp_path / "roberta", "roberta"), pool_rows(9)
    pool = write_jsonl(tmp_path / "p.jsonl", rows)
    words = ["export", "--encoder", str(encoder), "--out", str(tmp_path / "b"), "--graphs", "reference"]
    assert main([*words, "--rows", str(pool)]) == 0
    told = capsys.readouterr().out
    assert "passed" in told and f"--embeddings {tmp_path / 'b'}" in told
    assert Bundle.open(tmp_path / "b").gates()[0]["real"]["rows"] == 9
    embedder = Embedder.load(tmp_path / "b")
    assert embedder.encoder.settings.max_tokens == 129  # all that it takes: 512 was not asked for
    np.testing.assert_allclose(embedder.embed(rows), masked_means(encoder, map(joined, rows)), atol=1e-5)
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name a bundle, or --encoder NAME"),
        (["--encoder", "ENCODER"], "--encoder needs --out"),
        (["--encoder", "", "--out", "x"], "--encoder is empty"),
        (["BUNDLE", "--encoder", "ENCODER", "--out", "x"], "name no other"),
        (["BUNDLE", "--max-tokens", "9"], "--max_tokens goes with --encoder"),
        (["BUNDLE", "--to-hub-folder", "x"], "an encoder, which gives embeddings and no scores"),
        (["--encoder", "/no/such", "--out", "x"], "no such folder, and not a name that the hub could have"),
        (["--encoder", "ENCODER", "--out", "x", "--max-tokens", "999"], "takes at most 128, got 999"),
        (["--encoder", "ENCODER", "--out", "x", "--max-tokens", "-1"], "must be at least 0, got -1"),
        (["--encoder", "ENCODER", "--out", "x", "--graphs", "fast"], "no graph"),
        (
            ["--encoder", "ENCODER", "--out", "x", "--graphs", "reference,int8"],
            "int8 is judged by the ranking",
        ),
        (["BUNDLE", "--graphs", "reference,w8"], "reference and fused are what it has"),
    ],
)
def test_what_export_cannot_make_of_an_encoder_is_told_in_a_line(
    encoder, encoder_bundle, tmp_path, capsys, monkeypatch, words, told
):
    monkeypatch.chdir(tmp_path)
    places = {"ENCODER": str(encoder), "BUNDLE": str(encoder_bundle)}
    assert main(["export", *(places.get(word, word) for word in words)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and told in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["score", "POOL", "--ranker", "BUNDLE", "--out", "run"],
        ["score", "POOL", "--ranker", "BUNDLE", "--dry-run"],
        ["plan", "POOL", "--ranker", "BUNDLE", "--out", "run"],
        ["filter", "POOL", "--ranker", "BUNDLE", "--out", "kept.jsonl", "--top", "1"],
        ["eval", "BUNDLE", "POOL"],
        ["calibrate", "BUNDLE", "--reference", "POOL"],
        ["bench", "BUNDLE", "POOL"],
    ],
)
def test_what_needs_scores_is_refused_in_a_line(encoder_bundle, tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    pool = write_jsonl(tmp_path / "p.jsonl", pool_rows(3))
    places = {"POOL": str(pool), "BUNDLE": str(encoder_bundle)}
    assert main([places.get(word, word) for word in words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "an encoder, which gives embeddings and no scores" in err
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_what_looks_at_a_bundle_looks_at_an_encoder_too(encoder_bundle, tmp_path, capsys):
    pool = write_jsonl(tmp_path / "p.jsonl", pool_rows(3))
    assert main(["verify", str(encoder_bundle)]) == 0
    assert "a whole bundle" in capsys.readouterr().out
    assert main(["doctor", str(encoder_bundle)]) == 0
    assert "auto: onnxruntime fp32 model.fused.onnx" in capsys.readouterr().out
    assert main(["inspect", str(pool), "--ranker", str(encoder_bundle)]) == 0
    assert "[CLS]" in capsys.readouterr().out


@pytest.mark.slow
def test_the_gate_judges_an_encoder_in_fp32(encoder_bundle, tmp_path, capsys):
    pytest.importorskip("openvino")
    copy = shutil.copytree(encoder_bundle, tmp_path / "copy")
    pool = write_jsonl(tmp_path / "p.jsonl", pool_rows(40))
    assert main(["gate", str(copy), "--rows", str(pool), "--engine", "openvino", "--graph", "reference"]) == 0
    made = {record["precision"]: record for record in Bundle.open(copy).gates()[2:]}
    assert made["fp32"]["passed"] and made["fp32"]["real"]["rows"] == 40
    assert all(record["unverified"] for precision, record in made.items() if precision != "fp32")
    assert Embedder.load(copy, Scoring(engine="openvino")).choice.precision == "fp32"

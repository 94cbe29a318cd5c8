"""Export: graphs that are the model, gates that refuse what is not, for every architecture."""

import json
import shutil

import onnx
import pytest
from onnx import numpy_helper

from scar.bundle import GRAPHS, HEAD, TOWER, Bundle, seal
from scar.cli import main
from scar.encoding import PairEncoder
from scar.serving.gates import Reference, load_gate_rows
from scar.training import export
from scar.training.engine import torch_model
from scar.training.save import load_ranker
from scar.training.variants import gated
from tests.make import pool_rows, write_jsonl
from tests.serving.made import remade


@pytest.fixture
def reference(bundle):
    opened = Bundle.open(bundle)
    encoder = PairEncoder.of_bundle(opened)
    return Reference.of(
        torch_model(load_ranker(opened), 0, 512), load_gate_rows(bundle / "gate_rows.npz"), encoder
    )


def test_every_graph_of_the_bundle_has_a_record_that_passed(bundle):
    records = json.loads((bundle / "gates.json").read_text())["records"]
    assert [record["graph"] for record in records] == ["tower.onnx", "tower.fused.onnx"]
    digests = Bundle.open(bundle).digest("tower.onnx", "tower.fused.onnx")
    for record in records:
        assert record["passed"] and record["sha256"] == digests[record["graph"]]
        assert (
            0 < record["real"]["sigma"] and record["real"]["max_difference"] <= 1e-4 * record["real"]["sigma"]
        )
    assert records[1]["fused"]["Attention"] == 2


def test_both_axes_of_every_input_are_dynamic(bundle):
    for name in (TOWER, "tower.fused.onnx", HEAD):
        for value in onnx.load(bundle / name).graph.input:
            axes = value.type.tensor_type.shape.dim
            assert axes[0].dim_param and (name == HEAD or axes[1].dim_param)


def corrupt(path, name_part):
    """Change one weight matrix of a graph by a hundredth."""
    model = onnx.load(path)
    weight = next(w for w in model.graph.initializer if name_part in w.name and len(w.dims) == 2)
    values = numpy_helper.to_array(weight).copy()
    values *= 1.01
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)


@pytest.mark.parametrize(("graph", "weight"), [(TOWER, "word_embeddings"), (HEAD, "output")])
def test_the_gate_refuses_a_corrupted_weight(bundle, reference, tmp_path, graph, weight):
    for name in (TOWER, HEAD):
        shutil.copy(bundle / name, tmp_path / name)
    assert gated(TOWER, GRAPHS["style"], tmp_path, reference, 0)["passed"]
    corrupt(tmp_path / graph, weight)
    record = gated(TOWER, GRAPHS["style"], tmp_path, reference, 0)
    assert not record["passed"] and "differ" in record["reason"]


@pytest.mark.slow
def test_an_export_whose_graph_is_wrong_is_not_used_and_exits_1(bundle, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    plain = export.write_graphs

    def spoiled(ranker, folder, *, token_types):
        plain(ranker, folder, token_types=token_types)
        corrupt(folder / TOWER, "word_embeddings")

    monkeypatch.setattr("scar.training.export.write_graphs", spoiled)
    assert main(["export", str(copy)]) == 1
    assert "tower.onnx is not used" in capsys.readouterr().err
    assert not list(copy.glob("*.onnx"))
    assert json.loads((copy / "gates.json").read_text())["records"][-1]["passed"] is False
    pool = write_jsonl(tmp_path / "p.jsonl", [{"instruction": "a", "response": "b"}])
    assert main(["score", str(pool), "--ranker", str(copy), "--out", str(tmp_path / "run")]) == 2
    assert "scar export" in capsys.readouterr().err


def test_another_tokenizer_than_the_one_trained_with_is_refused(bundle, tmp_path, capsys):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    file = json.loads((copy / "tokenizer.json").read_text())
    file["normalizer"]["lowercase"] = False
    (copy / "tokenizer.json").write_text(json.dumps(file))
    seal(copy)
    assert main(["export", str(copy)]) == 1
    assert "other ids than the training tokenizer" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_of_ones_own_can_be_the_gates_rows(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    pool = write_jsonl(tmp_path / "p.jsonl", pool_rows(9))
    assert main(["export", str(copy), "--rows", str(pool), "--graphs", "reference"]) == 0
    assert json.loads((copy / "gates.json").read_text())["records"][-1]["real"]["rows"] == 9


@pytest.mark.slow
def test_rows_that_all_score_the_same_are_no_gate(bundle, tmp_path, capsys):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    pool = write_jsonl(tmp_path / "p.jsonl", [{"instruction": "what", "response": "a list"}] * 9)
    assert main(["export", str(copy), "--rows", str(pool), "--graphs", "reference"]) == 1
    assert "same score for every row" in capsys.readouterr().err


@pytest.mark.parametrize(
    "head", [None, {}, {"width": 5, "pooling": "pooler"}, {"width": "wide", "pooling": "pooler"}]
)
def test_a_head_that_is_not_that_of_the_weights_is_told_in_a_line(head, bundle, tmp_path, capsys):
    bad = remade(bundle, tmp_path / "bad", head=head)
    assert main(["export", str(bad)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "bad: head in ranker.json is not that of the weights" in told


def test_an_unknown_graph_is_an_error(bundle, capsys):
    assert main(["export", str(bundle), "--graphs", "fast"]) == 2
    assert "reference,fused" in capsys.readouterr().err

"""Graphs: DeBERTa's rewritten attention is transformers', and what is fused is counted."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from scar.bundle import GRAPHS
from scar.cli import main
from scar.training.cross import CrossEncoder, HeadShape
from scar.training.graphs import fuse, unfused, write_graphs
from scar.training.graphs.deberta import with_fast_attention
from tests.make import DEBERTA_V3

SHAPES = [(1, 1), (1, 7), (3, 512), (5, 130)]
BOTH = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
DEBERTAS = {
    "v1": ("deberta", BOTH),
    "v1 p2c, short reach": ("deberta", {**BOTH, "max_relative_positions": 40, "pos_att_type": ["p2c"]}),
    "v1 c2p": ("deberta", {**BOTH, "pos_att_type": ["c2p"]}),
    "v1 without positions": ("deberta", {}),
    "v2 c2p": ("deberta-v2", {**BOTH, "pos_att_type": ["c2p"]}),
    "v2 p2c": ("deberta-v2", {**BOTH, "pos_att_type": ["p2c"], "norm_rel_ebd": "layer_norm"}),
    "v2 without positions": ("deberta-v2", {}),
    "v2 odd buckets, own keys": (
        "deberta-v2",
        {**BOTH, "position_buckets": 31, "max_relative_positions": 300},
    ),
    "v2 with a convolution": ("deberta-v2", {**BOTH, "position_buckets": 32, "conv_kernel_size": 3}),
    "v3": ("deberta-v2", DEBERTA_V3),
}
ARCHITECTURES = {
    **{name: (name, {}) for name in ("bert", "electra", "roberta", "xlm-roberta", "modernbert")},
    "deberta": DEBERTAS["v1"],
    "deberta-v2": DEBERTAS["v3"],
}


def encoder(kind, *, positions=600, **more):
    """Make a random encoder in memory, its weights far from their first values."""
    from transformers import AutoConfig, AutoModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = AutoConfig.for_model(
        kind, vocab_size=50, max_position_embeddings=positions, pad_token_id=0, **sizes, **more
    )
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def batch(n, length):
    """Make ids and a mask; each row is padded otherwise, and has one token at least."""
    ids = np.random.default_rng(length).integers(3, 50, (n, length))
    lengths = np.maximum(1, length * (np.arange(n) + 1) // n)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return np.where(mask, ids, 0), mask


def written(model, folder):
    """Write model.onnx of a cross-encoder on an encoder."""
    ranker = CrossEncoder(model, 32, HeadShape("mean"), "quality").eval()
    write_graphs(ranker, folder, token_types=False)
    return folder / "model.onnx", ranker


def scores(path, ids, mask):
    """Run a graph."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["score", "embedding"], {"input_ids": ids, "attention_mask": mask})


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DEBERTAS))
def test_the_rewritten_attention_gives_the_states_of_transformers(name):
    kind, more = DEBERTAS[name]
    model = encoder(kind, **more)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fast = with_fast_attention(model)
    for n, length in SHAPES:
        ids, mask = map(torch.from_numpy, batch(n, length))
        with torch.no_grad():
            want, have = (m(ids, mask).last_hidden_state[mask == 1] for m in (model, fast))
        assert want.std() > 0.5
        torch.testing.assert_close(have, want, atol=1e-5, rtol=0)
    # What is trained on stays as it was.
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_what_has_no_disentangled_attention_is_left_as_it_is():
    for model in (encoder("bert"), encoder("deberta", talking_head=True, **BOTH)):
        assert with_fast_attention(model) is model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v1", "v3", "v2 with a convolution"])
def test_the_graph_of_a_deberta_is_the_model_and_has_no_index_of_pairs(name, tmp_path):
    kind, more = DEBERTAS[name]
    path, ranker = written(encoder(kind, **more), tmp_path)
    fuse(path, tmp_path / "fused.onnx")
    for n, length in SHAPES:
        ids, mask = batch(n, length)
        with torch.no_grad():
            want = ranker(*map(torch.from_numpy, (ids, mask)))
        for graph in (path, tmp_path / "fused.onnx"):
            for have, part in zip(scores(graph, ids, mask), want, strict=True):
                np.testing.assert_allclose(have, part.numpy(), atol=1e-5)
    for graph in (path, tmp_path / "fused.onnx"):
        assert not indexes_of_pairs(onnx.load(graph))


def indexes_of_pairs(model):
    """Name the nodes that gather single numbers, or that spread a tensor over pairs of tokens."""
    shapes = {
        v.name: v.type.tensor_type.shape.dim
        for v in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    found = [node.name for node in model.graph.node if node.op_type in ("GatherElements", "Tile")]
    spread = [node for node in model.graph.node if node.op_type == "Expand"]
    return found + [node.name for node in spread if over_pairs(shapes.get(node.output[0]))]


def over_pairs(shape):
    """Tell whether a shape may be (..., L, L): of the width of states the last axis is known."""
    return shape is None or (len(shape) > 2 and not shape[-1].dim_value)


def test_an_index_of_pairs_would_be_found(tmp_path):
    index = torch.zeros(1, 1, 1, dtype=torch.long)

    class Gathers(nn.Module):
        def forward(self, values):
            return torch.gather(values, 2, index.expand(values.shape[0], 3, 3))

    shape = ({0: torch.export.Dim.DYNAMIC},)
    torch.onnx.export(
        Gathers(), (torch.rand(2, 3, 3),), dynamo=True, verbose=False, dynamic_shapes=shape
    ).save(tmp_path / "g.onnx")
    assert len(indexes_of_pairs(onnx.load(tmp_path / "g.onnx"))) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_every_layer_of_an_architecture_that_we_know_is_fused(kind, tmp_path):
    name, more = ARCHITECTURES[kind]
    path, _ = written(encoder(name, **more), tmp_path)
    counts = fuse(path, tmp_path / "fused.onnx")
    assert unfused(kind, 2, counts) == []
    ids, mask = batch(5, 130)
    for have, want in zip(scores(tmp_path / "fused.onnx", ids, mask), scores(path, ids, mask), strict=True):
        np.testing.assert_allclose(have, want, atol=1e-5)
    ops = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert "SkipLayerNormalization" not in ops


@pytest.mark.parametrize(
    ("kind", "counts", "lacking"),
    [
        ("bert", {"Attention": 2, "BiasGelu": 2}, []),
        ("bert", {"Attention": 1, "BiasGelu": 2}, ["Attention"]),
        ("deberta-v2", {"BiasGelu": 2}, ["MultiHeadAttention"]),
        ("electra", {}, ["Attention", "BiasGelu"]),
        ("unheard-of", {"GroupQueryAttention": 1}, []),
        ("unheard-of", {"BiasGelu": 2}, ["attention"]),
    ],
)
def test_what_was_not_fused_is_named(kind, counts, lacking):
    assert unfused(kind, 2, counts) == lacking


@pytest.mark.slow
def test_a_known_architecture_left_unfused_is_an_error_and_is_not_used(bundle, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(bundle, tmp_path / "bundle")

    def left_alone(source, target):
        shutil.copy(source, target)
        return {}

    monkeypatch.setattr("scar.training.variants.fuse", left_alone)
    assert main(["export", str(copy)]) == 1
    assert "Attention, BiasGelu not fused in each of 2 layers of bert" in capsys.readouterr().err
    record = json.loads((copy / "gates.json").read_text())["records"][-1]
    assert not record["passed"] and record["unfused"] == ["Attention", "BiasGelu"]
    assert (copy / GRAPHS["style"].reference).is_file() and not list(copy.glob("*.fused.onnx"))

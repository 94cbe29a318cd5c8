"""Graphs in fewer bits: fewer bits where they should be, fp32 where it must be, scores near, records that say so."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from scar.bundle import MODEL, TOWER, Bundle
from scar.cli import main
from scar.encoding import Pairs
from scar.errors import GateError, InputError
from scar.serving.engines.openvino import compiled
from scar.serving.gates import load_gate_rows
from scar.tokens import TokenLists, length_batches
from scar.training.export import wanted
from scar.training.reduced import to_dynamic, to_fp16, to_int8, to_w8
from scar.training.reduced.int8 import best_scales, whole_weights
from scar.training.reduced.observe import Observed, observe
from scar.training.variants import split
from tests.make import pool_rows, write_jsonl

MADE = ("int8", "w8", "dynamic", "fp16")
PRODUCTS = 12
"""Of two layers: queries, keys, values, attention's output, and two of the feed-forward part."""


@pytest.fixture(scope="module")
def tokens(bundle):
    return load_gate_rows(bundle / "gate_rows.npz").tokens


def feeds(tokens):
    return [tokens.feeds(texts, 0) for texts in length_batches(tokens.lengths, 256)]


@pytest.fixture(scope="module")
def made(bundle, quality_bundle, tokens, tmp_path_factory):
    """Every variant of a tower and of a model of one graph."""
    folder = tmp_path_factory.mktemp("reduced")
    asked = feeds(load_gate_rows(quality_bundle / "gate_rows.npz").tokens)
    for source, batches in ((bundle / TOWER, feeds(tokens)), (quality_bundle / MODEL, asked)):
        name = source.stem
        shutil.copy(source, folder / source.name)
        to_int8(source, folder / f"{name}.int8.onnx", batches, narrow=False)
        to_w8(source, folder / f"{name}.w8.onnx")
        to_dynamic(source, folder / f"{name}.dynamic.onnx", narrow=False)
        to_fp16(source, folder / f"{name}.fp16.onnx")
    return folder


def run(path, batch, outputs=("pooled", "form", "mean")):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(list(outputs), batch)


def types(graph):
    return {weight.name: weight.data_type for weight in graph.initializer}


def contract(path):
    graph = onnx.load(path).graph
    return [
        [
            (value.name, value.type.tensor_type.elem_type, [bool(d.dim_param) for d in shape.dim][:1])
            for value in values
            for shape in [value.type.tensor_type.shape]
        ]
        for values in (graph.input, graph.output)
    ]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("graph", ["tower", "model"])
def test_inputs_and_outputs_are_those_of_the_reference(made, graph, name):
    assert contract(made / f"{graph}.{name}.onnx") == contract(made / f"{graph}.onnx")
    model = onnx.load(made / f"{graph}.{name}.onnx")
    assert not model.metadata_props
    assert str(made).encode() not in model.SerializeToString() and b"/tmp" not in model.SerializeToString()


@pytest.mark.parametrize("name", MADE)
def test_texts_are_encoded_nearly_as_by_the_reference(made, tokens, name):
    for batch in feeds(tokens)[:3]:
        for mine, exact in zip(
            run(made / f"tower.{name}.onnx", batch), run(made / TOWER, batch), strict=True
        ):
            assert mine.dtype == np.float32
            off = np.linalg.norm(mine - exact) / np.linalg.norm(exact)
            # Nearly: and not the same, or nothing was reduced.
            assert 0 < off < (0.01 if name == "fp16" else 0.05)


def test_int8_holds_every_product_in_8_bits_and_nothing_else(made):
    graph = onnx.load(made / "tower.int8.onnx").graph
    known, makers = types(graph), {output: node for node in graph.node for output in node.output}
    reduced = [
        node
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] not in known
        and makers[node.input[1]].op_type == "DequantizeLinear"
    ]
    assert len(reduced) == PRODUCTS
    for node in reduced:
        assert known[makers[node.input[1]].input[0]] == TensorProto.INT8
        assert makers[node.input[0]].op_type == "DequantizeLinear"
    pooler = next(node for node in graph.node if node.op_type == "Gemm")
    assert known[pooler.input[1]] == TensorProto.FLOAT
    # Embeddings are looked up, not multiplied.
    assert all(
        known[node.input[0]] == TensorProto.FLOAT
        for node in graph.node
        if node.op_type == "Gather" and node.input[0] in known
    )


def test_w8_and_dynamic_hold_every_product_in_8_bits(made):
    nodes = onnx.load(made / "tower.w8.onnx").graph.node
    blocks = [node for node in nodes if node.op_type == "MatMulNBits"]
    assert len(blocks) == PRODUCTS
    assert {a.i for node in blocks for a in node.attribute if a.name == "bits"} == {8}
    assert [node.op_type for node in onnx.load(made / "tower.dynamic.onnx").graph.node].count(
        "MatMulInteger"
    ) == PRODUCTS


@pytest.mark.parametrize("graph", ["tower", "model"])
def test_fp16_keeps_softmax_normalisation_pooling_and_head_in_fp32(made, graph):
    model = onnx.shape_inference.infer_shapes(onnx.load(made / f"{graph}.fp16.onnx"))
    known = types(model.graph)
    known |= {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    products = [
        node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in types(model.graph)
    ]
    assert [known[node.input[1]] for node in products].count(TensorProto.FLOAT16) == PRODUCTS
    for node in model.graph.node:
        if node.op_type in ("Softmax", "LayerNormalization", "Gemm", "ReduceMax", "ReduceSum"):
            assert known.get(node.input[0], TensorProto.FLOAT) == TensorProto.FLOAT, node.name
    for weight in model.graph.initializer:
        if weight.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
            assert np.abs(numpy_helper.to_array(weight).astype(np.float64)).max(initial=0) <= 1e4, weight.name


def alone_and_together(path, tokens):
    """Encode one text alone, and beside texts whose states are other; each padded alike."""
    texts = np.argsort(tokens.lengths)
    width = int(tokens.lengths.max())
    alone = run(path, tokens.feeds(texts[:1], 0, width))[2][0]
    together = run(path, tokens.feeds(texts, 0, width))[2][0]
    return np.abs(alone - together).max()


def test_only_dynamic_int8_depends_on_batch_mates(made, tokens):
    assert alone_and_together(made / "tower.dynamic.onnx", tokens) > 1e-4
    assert alone_and_together(made / "tower.int8.onnx", tokens) < 1e-5


def test_openvino_reads_static_int8_as_onnx_runtime_does(made, tokens):
    pytest.importorskip("openvino")
    batch = feeds(tokens)[0]
    model = compiled(str(made / "tower.int8.onnx"), {"INFERENCE_PRECISION_HINT": "f32"})
    mean = model(batch)["mean"]
    exact = run(made / "tower.int8.onnx", batch)[2]
    assert np.linalg.norm(mean - exact) / np.linalg.norm(exact) < 0.02


def test_what_is_observed_leaves_padding_out(made, tokens):
    graph = onnx.load(made / TOWER).graph
    name = next(node.output[0] for node in graph.node if node.op_type == "LayerNormalization")
    tight = observe(made / TOWER, [name], feeds(tokens))[name]
    wide = observe(made / TOWER, [name], [tokens.feeds(np.arange(len(tokens)), 0, 100)])[name]
    np.testing.assert_allclose(tight.high, wide.high, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tight.low, wide.low, rtol=1e-5, atol=1e-6)


def test_a_channel_far_wider_than_the_rest_is_smoothed():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(400, 32)).astype(np.float32)
    states[:, 3] *= 100
    seen = Observed(states.min(axis=0), states.max(axis=0), states)
    matrix = rng.normal(size=(32, 16)).astype(np.float32)
    # Its own channel's weight is small, as trained weights have it: else it would be all that counts.
    matrix[3] /= 100
    scales = best_scales(seen, [matrix], narrow=False)
    assert scales.smooth[3] == scales.smooth.max() > 10 * np.median(scales.smooth)


def test_a_product_that_8_bits_cannot_hold_stays_fp32():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(400, 8)).astype(np.float32)
    states[0] = 1e4
    seen = Observed(states.min(axis=0), states.max(axis=0), states[1:])
    assert best_scales(seen, [rng.normal(size=(8, 4)).astype(np.float32)], narrow=False) is None


@pytest.mark.parametrize(("narrow", "most"), [(False, 127), (True, 63)])
def test_weights_fill_their_bits_column_by_column(narrow, most):
    weights = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32) * np.float32(
        [1, 10, 100, 0, 1]
    )
    whole, steps = whole_weights(weights, narrow)
    assert np.abs(whole).max(axis=0).tolist() == [most, most, most, 0, most]
    assert (np.abs(whole * steps - weights) <= steps / 2 * 1.001).all()


def test_a_graph_without_products_is_refused(bundle, tmp_path):
    with pytest.raises(GateError, match="nothing to reduce"):
        to_fp16(bundle / "head.onnx", tmp_path / "head.fp16.onnx")


def test_rows_that_set_scales_do_not_judge():
    texts = np.arange(40).reshape(20, 2)
    pairs = Pairs(TokenLists.of([np.array([n], np.int32) for n in range(40)]), texts, np.zeros(20, np.int64))
    judging, calibrating = split(pairs, True)
    assert (len(judging), len(calibrating)) == (18, 2)
    assert not {*judging.tokens.ids.tolist()} & {*calibrating.tokens.ids.tolist()}
    assert [len(part) for part in split(pairs, False)] == [20, 0]


def test_graphs_are_asked_for_by_name():
    assert wanted("auto") == ["reference", "fused"]
    assert wanted("reference, int8,int8") == ["reference", "int8"]
    for wrong, told in (("reference,int4", "no graph 'int4'"), ("int8", "the reference is missing")):
        with pytest.raises(InputError, match=told):
            wanted(wrong)


@pytest.mark.slow
def test_export_records_every_variant_and_keeps_what_passed(bundle, tmp_path, capsys):
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    pool = write_jsonl(tmp_path / "p.jsonl", pool_rows(40))
    code = main(["export", str(copy), "--rows", str(pool), "--graphs", "reference,int8,w8,dynamic,fp16"])
    records = {r["graph"]: r for r in json.loads((copy / "gates.json").read_text())["records"]}
    failed = [r for r in records.values() if not (r["passed"] or r.get("unverified"))]
    assert code == (1 if failed else 0)
    assert records["tower.int8.onnx"]["products"] == {"int8": PRODUCTS, "fp32": 0}
    assert records["tower.dynamic.onnx"]["batch_dependent"] and records["tower.fp16.onnx"]["unverified"]
    assert {r["precision"] for n, r in records.items() if n.split(".")[1] in ("int8", "w8", "dynamic")} == {
        "int8"
    }
    for name in ("int8", "w8", "dynamic"):
        record = records[f"tower.{name}.onnx"]
        kept = record["passed"] or record.get("unverified", False)
        assert Bundle.open(copy).has(f"tower.{name}.onnx") == kept
    assert Bundle.open(copy).has("tower.fp16.onnx") and not records["tower.fp16.onnx"]["passed"]

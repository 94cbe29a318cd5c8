"""Bundles that differ from a trained one in what ranker.json or the tokenizer says."""

import json
import shutil

from onnx import TensorProto, helper

from scar.bundle import MANIFEST, MODEL, RANKER, TOKENIZER, seal


def remade(bundle, folder, *, text=None, tokenizer=None, graph=None, **changed):
    """Copy a bundle to `folder` with other values in ranker.json, in its `text`, and in the tokenizer's normalizer.

    `graph`, the bytes of an ONNX file, takes the place of the one of a quality bundle.
    """
    shutil.copytree(bundle, folder)
    ranker = json.loads((folder / RANKER).read_bytes())
    ranker = {**ranker, **changed, "text": {**ranker["text"], **(text or {})}}
    (folder / RANKER).write_text(json.dumps(ranker))
    if tokenizer:
        known = json.loads((folder / TOKENIZER).read_bytes())
        known["normalizer"] |= tokenizer
        (folder / TOKENIZER).write_text(json.dumps(known))
    if graph:
        (folder / "model.fused.onnx").unlink(missing_ok=True)
        (folder / MODEL).write_bytes(graph)
    (folder / MANIFEST).unlink()
    seal(folder)
    return folder


def sines():
    """Give an ONNX file that scores a sequence by the sum of its ids' sines, and needs no token types."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sin", ["ids"], ["sines"]),
        helper.make_node("Mul", ["sines", "mask"], ["masked"]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceSum", ["masked", "axis"], ["score"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])]
    graph = helper.make_graph(nodes, "sines", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()

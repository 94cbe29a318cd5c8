"""Bundles that differ from a trained one in what ranker.json or the tokenizer says."""

import json
import shutil

import numpy as np
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


def sines(lie="", word=0):
    """Give an ONNX file that scores a sequence by the sum of its ids' sines, and needs no token types.

    It can lie, in ways that the canaries do not see: `nan` and `constant` of sequences that hold a `word`, by its id;
    `few` of batches of more than four.
    """
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sin", ["ids"], ["sines"]),
        helper.make_node("Mul", ["sines", "mask"], ["masked"]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("ReduceSum", ["masked", "axis"], ["true"], keepdims=0),
        *_LIES[lie](word),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["m"])]
    graph = helper.make_graph(nodes, "sines", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def _instead(value):
    """Give a value in the place of the true score, of sequences that hold a word."""

    def nodes(word):
        return [
            helper.make_node("Constant", [], ["word"], value_int=word),
            helper.make_node("Equal", ["input_ids", "word"], ["equal"]),
            helper.make_node("Cast", ["equal"], ["held"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["held", "axis"], ["times"], keepdims=0),
            helper.make_node("Cast", ["times"], ["holds"], to=TensorProto.BOOL),
            helper.make_node("Constant", [], ["lie"], value_float=value),
            helper.make_node("Where", ["holds", "lie", "true"], ["score"]),
        ]

    return nodes


def _few(_):
    ends = (("starts", [0]), ("ends", [4]))
    constants = [helper.make_node("Constant", [], [name], value_ints=value) for name, value in ends]
    return [*constants, helper.make_node("Slice", ["true", "starts", "ends"], ["score"])]


_LIES = {
    "": lambda _: [helper.make_node("Identity", ["true"], ["score"])],
    "nan": _instead(float("nan")),
    "constant": _instead(0.5),
    "few": _few,
}


def joined(row):
    """Give the one text of a plain row."""
    return f"{row['instruction']}\n\n{row['response']}"


def unit(vectors):
    """Bring vectors to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def masked_means(encoder, texts, longest=128):
    """Give the mean of the last hidden states of each text, alone, of length 1: by transformers, in nobody's batch."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(encoder).eval(), AutoTokenizer.from_pretrained(encoder)
    with torch.inference_mode():
        states = [
            model(
                **tokenizer(text, return_tensors="pt", truncation=True, max_length=longest)
            ).last_hidden_state
            for text in texts
        ]
    return unit(np.stack([each[0].mean(dim=0).numpy() for each in states]))

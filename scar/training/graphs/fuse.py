"""ONNX graph -> the same graph of ONNX Runtime's fused operators, and what should have been fused in it."""

from collections.abc import Mapping
from pathlib import Path

import onnx_ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

ATTENTION = ("Attention", "MultiHeadAttention", "GroupQueryAttention")
FUSED = {
    "bert": ("Attention", "BiasGelu"),
    "electra": ("Attention", "BiasGelu"),
    "roberta": ("Attention", "BiasGelu"),
    "xlm-roberta": ("Attention", "BiasGelu"),
    "deberta": ("MultiHeadAttention", "BiasGelu"),
    "deberta-v2": ("MultiHeadAttention", "BiasGelu"),
}
"""The operators that each layer of an architecture must have been fused to; of others, attention at least once."""
FUSED_DOMAIN = "com.microsoft"


def fuse(source: Path, target: Path) -> dict[str, int]:
    """Fuse a graph for ONNX Runtime; gives how many of each fused operator there are."""
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    model, _ = optimize_for_ort(onnx_ir.load(str(source)))
    for node in list(model.graph):
        if node.op_type == "SkipLayerNormalization":
            _split_normalisation(model.graph, node)
        elif node.op_type == "MultiHeadAttention":
            _take_bias_as_it_is(node)
    RemoveUnusedNodesPass()(model)
    onnx_ir.save(model, str(target))
    names = [node.op_type for node in model.graph if node.domain == FUSED_DOMAIN]
    return {name: names.count(name) for name in sorted(set(names))}


def unfused(model_type: str, layers: int, counts: Mapping[str, int]) -> list[str]:
    """Name the operators that an encoder of this architecture and depth should have been fused to, and was not."""
    if model_type in FUSED:
        return [name for name in FUSED[model_type] if counts.get(name, 0) < layers]
    return [] if any(counts.get(name) for name in ATTENTION) else ["attention"]


def _split_normalisation(graph: onnx_ir.Graph, node: onnx_ir.Node) -> None:
    """Put Sum and LayerNormalization in place of SkipLayerNormalization, which is a ninth as fast on a CPU.

    Sum, not Add: of an Add the runtime would make the fused operator again.
    """
    states, skipped, weight, bias, *before = node.inputs
    total = onnx_ir.Node("", "Sum", [value for value in (states, *before, skipped) if value is not None])
    epsilon = onnx_ir.AttrFloat32("epsilon", node.attributes["epsilon"].as_float())
    normal = onnx_ir.Node("", "LayerNormalization", [total.outputs[0], weight, bias], [epsilon])
    graph.insert_before(node, [total, normal])
    _replace(node.outputs[0], normal.outputs[0])
    if len(node.outputs) > 3:
        _replace(node.outputs[3], total.outputs[0])
    graph.remove(node, safe=True)


def _replace(old: onnx_ir.Value, new: onnx_ir.Value) -> None:
    new.name, old.name = old.name, f"{old.name}_before"
    new.shape, new.type = old.shape, old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def _take_bias_as_it_is(node: onnx_ir.Node) -> None:
    """Take out the copy of an attention bias that the rewriter expands to every head where it has them already."""
    bias = node.inputs[5] if len(node.inputs) > 5 else None
    expand = bias.producer() if bias is not None else None
    if expand is None or expand.op_type != "Expand":
        return
    whole = expand.inputs[0]
    heads = node.attributes["num_heads"].as_int()
    if whole is not None and whole.shape is not None and len(whole.shape) == 4 and whole.shape[1] == heads:
        node.replace_input_with(5, whole)

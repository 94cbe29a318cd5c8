"""Where a graph's work is: the products of hidden states with weights; and what comes after the encoder."""

from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from scar.errors import GateError

NORMALISATIONS = ("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")


def open_graph(source: Path) -> ModelProto:
    """Read a graph with the shapes of its inner values."""
    return onnx.shape_inference.infer_shapes(onnx.load(str(source)))


def save_graph(model: ModelProto, target: Path) -> None:
    """Write a graph into one file, without what the tools noted in it."""
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def products(graph: GraphProto) -> list[NodeProto]:
    """List the products of hidden states (N, L, H) with a weight matrix.

    What multiplies pooled states (N, H) is head or pooling. Raises GateError where there is none to reduce.
    """
    weights = {weight.name for weight in graph.initializer if weight.data_type == TensorProto.FLOAT}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}
    found = [
        node
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in weights
        and node.input[0] not in weights
        and ranks.get(node.output[0], 0) > 2
    ]
    if not found:
        raise GateError("the graph has no product of hidden states with a weight: nothing to reduce")
    return found


def pooling(graph: GraphProto) -> list[NodeProto]:
    """List the nodes between the encoder's last product or normalisation and the outputs."""
    inner = {node.name for node in products(graph)}
    makers = {output: node for node in graph.node for output in node.output}
    seen: dict[str, NodeProto] = {}
    waiting = [value.name for value in graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node and node.name not in seen and node.name not in inner and node.op_type not in NORMALISATIONS:
            seen[node.name] = node
            waiting.extend(node.input)
    return list(seen.values())


def put_before(graph: GraphProto, before: dict[str, list[NodeProto]]) -> None:
    """Insert nodes in front of the nodes of the given names."""
    ordered = [part for node in graph.node for part in (*before.get(node.name, []), node)]
    del graph.node[:]
    graph.node.extend(ordered)


def drop_unused(graph: GraphProto) -> None:
    """Take out the weights that no node reads any more."""
    read = {name for node in graph.node for name in node.input}
    kept = [weight for weight in graph.initializer if weight.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)

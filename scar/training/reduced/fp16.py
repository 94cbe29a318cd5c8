"""fp16 for a GPU: weights and products in half precision, what overflows or sums many numbers in fp32."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from scar.training.reduced.products import drop_unused, open_graph, pooling, save_graph

LOWEST = -1e4
"""What stands for minus infinity: the lowest fp32 number is minus infinity in fp16, and two of them make NaN."""
HALVED = set(
    "MatMul Add Sub Mul Div Neg Gelu Erf Tanh Sigmoid Relu Gather Where Expand Tile GatherElements "
    "Reshape Transpose Squeeze Unsqueeze Concat Split Slice".split()
)
"""Operators that may run in fp16: a list of what may, since softmax, normalisation and sums come in many spellings."""


def to_fp16(source: Path, target: Path) -> None:
    """Write a graph in fp16 with fp32 inputs and outputs; softmax, normalisation, pooling and head stay fp32."""
    model = open_graph(source)
    _raise_fills(model)
    kept = {node.name for node in [*pooling(model.graph), *_angles(model.graph.node)]}
    casts = _Casts(model)
    ordered: list[NodeProto] = []
    for node in model.graph.node:
        half = node.op_type in HALVED and node.name not in kept
        wanted = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        for place, name in enumerate(node.input):
            node.input[place], made = casts.to(name, wanted)
            ordered.extend(made)
        casts.types.update({name: wanted for name in node.output if name in casts.types})
        ordered.append(node)
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    # What was noted of inner types is that of fp32.
    del model.graph.value_info[:]
    drop_unused(model.graph)
    save_graph(model, target)


def _angles(nodes: Iterable[NodeProto]) -> list[NodeProto]:
    """Give what computes the angles of rotary positions: of 300 radians fp16 keeps quarters."""
    made_by = {name: node for node in nodes for name in node.output}
    waiting = [node for node in made_by.values() if node.op_type in ("Cos", "Sin")]
    found: dict[str, NodeProto] = {}
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found[node.name] = node
            waiting.extend(made_by[name] for name in node.input if name in made_by)
    return list(found.values())


class _Casts:
    """The type of each float value so far, and its casts: one for each value and type."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        self._made: set[str] = set()
        values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
        kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        kinds |= {name: weight.data_type for name, weight in self._weights.items()}
        self.types = {name: kind for name, kind in kinds.items() if kind == TensorProto.FLOAT}

    def to(self, name: str, wanted: int) -> tuple[str, list[NodeProto]]:
        """Give the name under which a value has the wanted type, and the cast if it is a new one."""
        if self.types.get(name, wanted) == wanted:
            return name, []
        other = f"{name}.{'fp16' if wanted == TensorProto.FLOAT16 else 'fp32'}"
        if other in self._made:
            return other, []
        self._made.add(other)
        if name in self._weights:
            values = numpy_helper.to_array(self._weights[name]).astype(
                helper.tensor_dtype_to_np_dtype(wanted)
            )
            self._graph.initializer.append(numpy_helper.from_array(values, other))
            return other, []
        return other, [helper.make_node("Cast", [name], [other], other, to=wanted)]


def _raise_fills(model: ModelProto) -> None:
    for tensor in (*model.graph.initializer, *_constants(model.graph.node)):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size and values.min() < LOWEST:
            raised = np.maximum(values, np.float32(LOWEST))
            tensor.CopyFrom(numpy_helper.from_array(raised, tensor.name))


def _constants(nodes: Iterable[NodeProto]) -> list[TensorProto]:
    return [
        attribute.t
        for node in nodes
        if node.op_type in ("Constant", "ConstantOfShape")
        for attribute in node.attribute
        if attribute.HasField("t")
    ]

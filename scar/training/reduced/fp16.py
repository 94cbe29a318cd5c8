"""fp16 for a GPU: weights and products in half precision, what overflows or sums many numbers in fp32."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from scar.training.reduced.products import NORMALISATIONS, open_graph, pooling, save_graph

LOWEST = -1e4
"""What stands for minus infinity: the lowest fp32 number is minus infinity in fp16, and two of them make NaN."""
FP32 = (
    *NORMALISATIONS,
    "Softmax",
    "LogSoftmax",
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "Pow",
    "Sqrt",
    "Reciprocal",
    "Range",
    "CumSum",
    "Min",
    "Max",
)


def to_fp16(source: Path, target: Path) -> None:
    """Write a graph in fp16 with fp32 inputs and outputs; softmax, normalisation, pooling and head stay fp32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = open_graph(source)
    _raise_fills(model)
    kept = [node.name for node in pooling(model.graph)]
    converted: ModelProto = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=list(FP32), node_block_list=kept
    )
    onnx.checker.check_model(converted)
    save_graph(converted, target)


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

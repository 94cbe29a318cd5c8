"""8-bit weights, and activations in 8 bits by one scale a batch: fast, and a score depends on its batch mates."""

from pathlib import Path

from onnx import helper

from scar.training.reduced.products import open_graph, products, save_graph


def to_dynamic(source: Path, target: Path, *, narrow: bool) -> None:
    """Write a graph whose products scale their activations batch by batch.

    `narrow` keeps weights within 7 bits: a processor without VNNI adds pairs of 8-bit products in 16 bits.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = open_graph(source)
    names = [node.name for node in products(model.graph)]
    # The library turns a head's matrix round, and then finds that its noted shape is another.
    del model.graph.value_info[:]
    # Unmarked, the library advises on its log to do what has been done.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    quantize_dynamic(
        model,
        target,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=names,
        per_channel=True,
        reduce_range=narrow,
        weight_type=QuantType.QInt8,
    )
    save_graph(open_graph(target), target)

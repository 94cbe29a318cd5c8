"""8-bit weights, and activations in 8 bits a block of 128: a scale for each token alone, so no calibration."""

import logging
from pathlib import Path

import onnx

from scar.training.graphs import fuse
from scar.training.reduced.products import open_graph, products, save_graph

BLOCK = 128
INT8_ACTIVATIONS = 4
"""What ONNX Runtime calls accuracy level 4: products of 8-bit integers."""


def to_w8(source: Path, target: Path) -> dict[str, int]:
    """Write a graph with 8-bit weights, for ONNX Runtime alone; gives how many of each fused operator there are.

    It is fused after, not before: the attention operator would take the weights of queries, keys and values as fp32.
    """
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # It tells what it does with every node.
    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    model = open_graph(source)
    wanted = {node.name for node in products(model.graph)}
    others = [node.name for node in model.graph.node if node.name not in wanted]
    quantizer = MatMulNBitsQuantizer(
        model, bits=8, block_size=BLOCK, accuracy_level=INT8_ACTIVATIONS, nodes_to_exclude=others
    )
    quantizer.process()
    save_graph(quantizer.model.model, target)
    counts = fuse(target, target)
    save_graph(onnx.load(str(target)), target)
    return counts

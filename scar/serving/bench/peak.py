"""How fast this machine multiplies matrices: what a contender's speed is measured against. Knows no model."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from scar.serving.engines import processors
from scar.serving.engines.machine import has_bf16
from scar.serving.engines.openvino import compiled, openvino

SIZES = (512, 1024, 2048)
"""Rows and columns of the matrices: the first fits the caches, the last does not."""
SECONDS = 0.25
"""Each product is timed again for so long; the fastest one counts."""
PRODUCT = bytes.fromhex(
    "08083a5b0a110a01610a016212016322064d61744d756c12016d5a150a016112100a0e0801120a0a0312016e0a0312016b5a150a01"
    "6212100a0e0801120a0a0312016b0a0312016d62150a016312100a0e0801120a0a0312016e0a0312016d42040a00100d"
)
"""An ONNX file of one MatMul, c = a b, so that a machine that only serves needs no `onnx` to write it."""

Square = NDArray[np.float32]
Product = Callable[[Square, Square], Callable[[], object]]


@dataclass(frozen=True)
class Peak:
    """The fastest product of a precision."""

    gflops: float
    by: str
    """Library and size that reached it."""


Peaks = dict[str, Peak]
"""By precision."""


def peaks(threads: int = 0) -> Peaks:
    """Time matrix products on so many threads; 0 takes the processors that this process may use."""
    found: Peaks = {}
    for precision, library, product in _products(threads):
        for size in SIZES:
            speed = gflops(product, size)
            if precision not in found or speed > found[precision].gflops:
                found[precision] = Peak(speed, f"{library}, {size} x {size}")
    return found


def gflops(product: Product, size: int) -> float:
    """Give the GFLOP/s of the fastest of many products of two square matrices."""
    drawn = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    multiply = product(drawn[0], drawn[1])
    multiply()
    fastest, end = float("inf"), time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        multiply()
        fastest = min(fastest, time.perf_counter() - started)
    return 2e-9 * size**3 / fastest


def _products(threads: int) -> Iterator[tuple[str, str, Product]]:
    if not threads:
        yield "fp32", "numpy", _numpy  # takes as many threads as it likes
    threads = threads or processors()
    if find_spec("onnxruntime"):
        yield "fp32", "onnxruntime", lambda a, b: _onnxruntime(a, b, threads)
    if find_spec("openvino"):
        yield "fp32", "openvino", lambda a, b: _openvino(a, b, "f32", threads)
        if has_bf16():
            yield "bf16", "openvino", lambda a, b: _openvino(a, b, "bf16", threads)


def _numpy(a: Square, b: Square) -> Callable[[], object]:
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def _onnxruntime(a: Square, b: Square, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(PRODUCT, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": a, "b": b})


def _openvino(a: Square, b: Square, hint: str, threads: int) -> Callable[[], object]:
    library = openvino()
    from openvino import opset13

    given = opset13.parameter(list(a.shape), np.float32)
    # The weights of a model are constants too, laid out once in the way that is fastest.
    model = library.Model([opset13.matmul(given, opset13.constant(b), False, False)], [given])
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    request = compiled(model, settings).create_infer_request()
    return lambda: request.infer([a], share_inputs=True, share_outputs=True)

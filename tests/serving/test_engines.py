"""The contract of engines: each, in each precision that this machine has, on the same rows of a trained bundle."""

import ctypes
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from scar.bundle import Bundle
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.serving.candidates import installed
from scar.serving.engines import Runtime, has_bf16
from scar.serving.gates import FP32_LIMIT
from scar.serving.models import load_model
from scar.serving.rows import record_of
from tests.make import pool_rows

ROWS = 60
WAYS = [
    ("onnxruntime", "fp32", "tower.onnx"),
    ("onnxruntime", "fp32", "tower.fused.onnx"),
    ("openvino", "fp32", "tower.onnx"),
    ("openvino", "fp32", "tower.fused.onnx"),
    ("openvino", "bf16", "tower.onnx"),
    ("torch", "fp32", ""),
]
FAR = 0.1
"""Largest difference of a row in reduced precision, in sigma: what a gate allows 99.9 % of the rows."""


@dataclass(frozen=True)
class Way:
    """One way to run the bundle: what is under test."""

    bundle: Bundle
    engine: str
    precision: str
    graph: str

    def model(self, threads=1, device="cpu"):
        return load_model(
            self.bundle.path,
            self.bundle.graphs,
            self.graph,
            pad_id=0,
            batch_tokens=256,
            runtime=Runtime(self.engine, self.precision, device, threads),
        )

    def open(self, threads=1, device="cpu"):
        return self.model(threads, device).tower


@pytest.fixture(params=WAYS, ids=" ".join)
def way(request, bundle):
    engine, precision, graph = request.param
    if not installed(engine):
        pytest.skip(f"{engine} is not installed")
    if precision == "bf16" and not has_bf16():
        pytest.skip("this processor multiplies no bf16 numbers")
    return Way(Bundle.open(bundle), engine, precision, graph)


@pytest.fixture(scope="module")
def pairs(bundle):
    records = [record_of(row, number) for number, row in enumerate(pool_rows(ROWS))]
    encoder = PairEncoder.of_bundle(Bundle.open(bundle))
    return encoder.encode([(record.turns, record.response) for record in records])


@pytest.fixture(scope="module")
def reference(bundle, pairs):
    return Way(Bundle.open(bundle), "onnxruntime", "fp32", "tower.onnx").model().score(pairs)


def singles(pairs):
    return (np.asarray([text]) for text in range(len(pairs.tokens)))


def batches(pairs, sizes=(3, 1, 5, 2, 7, 4)):
    """Give feeds of unequal batches."""
    starts = np.cumsum((0, *sizes))
    texts = [np.arange(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
    return [pairs.tokens.feeds(some, 0) for some in texts]


def test_scores_are_the_reference_s_within_the_gate(way, pairs, reference):
    sigma = reference.std()
    allowed = FP32_LIMIT if way.precision == "fp32" else FAR
    model = way.model()
    assert (model.engine, model.precision) == (way.engine, way.precision)
    scores = model.score(pairs)
    assert scores.dtype == np.float32 and np.isfinite(scores).all()
    assert np.abs(scores - reference).max() <= allowed * sigma


def test_fp32_scores_do_not_depend_on_batch_mates_or_padding(way, pairs):
    if way.precision != "fp32":
        pytest.skip("reduced precision depends on the batch; it is reproducible by the batch plan")
    model = way.model()
    packed = model.score(pairs)
    np.testing.assert_allclose(model.score_in(pairs, singles(pairs)), packed, atol=1e-5, rtol=0)
    wide = model.score_in(pairs, [np.arange(len(pairs.tokens))], width=32)
    np.testing.assert_allclose(wide, packed, atol=1e-5, rtol=0)


def test_the_same_batch_plan_gives_the_same_bits(way, pairs):
    model = way.model(threads=2)
    first = model.score(pairs)
    np.testing.assert_array_equal(first, model.score(pairs))
    np.testing.assert_array_equal(first, way.model(threads=2).score(pairs))


def test_one_thread_or_two_give_the_same_bits(way, pairs):
    np.testing.assert_array_equal(way.model(threads=1).score(pairs), way.model(threads=2).score(pairs))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_gives_what_single_runs_give_in_order(way, pairs, threads):
    engine, feeds = way.open(threads), batches(pairs)
    streamed = list(engine.stream(["pooled", "form"], iter(feeds)))
    assert [len(pooled) for pooled, _ in streamed] == [3, 1, 5, 2, 7, 4]
    for got, fed in zip(streamed, feeds, strict=True):
        for value, alone in zip(got, engine.run(["pooled", "form"], fed), strict=True):
            np.testing.assert_array_equal(value, alone)


def test_a_stream_of_nothing_gives_nothing(way):
    assert list(way.open(2).stream(["pooled"], iter([]))) == []


def test_no_rows_and_one_row(way, pairs, reference):
    model = way.model()
    none = model.score(pairs.take(np.zeros(0, np.int64)))
    assert none.shape == (0,) and none.dtype == np.float32
    one = model.score(pairs.take(np.asarray([7])))
    allowed = FP32_LIMIT if way.precision == "fp32" else FAR
    assert one.shape == (1,) and abs(one[0] - reference[7]) <= allowed * reference.std()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_batch_is_raised_where_the_stream_is_read(way, pairs, threads):
    good = batches(pairs)
    bad = {"input_ids": good[1]["input_ids"], "attention_mask": np.ones((9, 9, 9), np.int64)}
    stream = way.open(threads).stream(["pooled"], iter([good[0], bad, good[2]]))
    with pytest.raises(Exception, match="(?i)attention_mask|shape|rank|dim"):
        list(stream)


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "abacus"])
def test_a_device_that_is_not_there_is_refused_and_no_other_taken(way, device):
    if device != "abacus" and way.engine == "onnxruntime":
        from onnxruntime import get_available_providers

        if any(device in provider.lower() for provider in get_available_providers()):
            pytest.skip(f"this machine has {device}")
    with pytest.raises(InputError, match=f"--device {device}"):
        way.open(device=device)


def test_a_precision_that_an_engine_has_not_is_refused(bundle):
    pytest.importorskip("openvino")
    with pytest.raises(InputError, match="--precision fp16: the openvino engine has"):
        Way(Bundle.open(bundle), "openvino", "fp16", "tower.onnx").open()


class Stack(ctypes.Structure):
    """stack_t of the C library."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack():
    stack = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.start, stack.size


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO gives threads such a stack on Linux alone")
def test_openvino_leaves_the_stack_for_signals_of_its_caller_alone(bundle):
    """It frees the stack that it gives: a signal that came later would end the process with SIGSEGV."""
    pytest.importorskip("openvino")
    before = signal_stack()
    models = [
        Way(Bundle.open(bundle), "openvino", "fp32", graph).model()
        for graph in ("tower.onnx", "tower.fused.onnx")
    ]
    assert signal_stack() == before
    del models
    assert signal_stack() == before

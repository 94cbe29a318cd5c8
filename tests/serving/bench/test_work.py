"""The arithmetic that a share of the peak is counted by, and the product it is measured against."""

import json
import math
import struct

import numpy as np
import pytest

from scar.bundle import Bundle
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.pools import read_pool
from scar.serving.bench.peak import PRODUCT, Peak, gflops, peaks
from scar.serving.bench.work import EncoderSize, encoded_lengths
from scar.settings import Reading
from tests.make import pool_rows, write_jsonl


def test_the_encoder_is_counted_without_embedding_tables_and_pooler(bundle):
    hidden, inner, layers = 32, 64, 2  # the tiny encoder
    attention = 4 * (hidden * hidden + hidden)
    feed_forward = hidden * inner + inner + inner * hidden + hidden
    norms = 2 * 2 * hidden
    expected = EncoderSize(layers * (attention + feed_forward + norms), hidden, layers)
    assert EncoderSize.of(Bundle.open(bundle)) == expected


def test_the_operations_of_texts_are_summed_with_their_own_lengths():
    size = EncoderSize(parameters=100, width=8, layers=3)
    by_hand = 5 * (2 * 100 + 4 * 5 * 8 * 3) + 7 * (2 * 100 + 4 * 7 * 8 * 3)
    assert size.flops(np.asarray([5, 7])) == by_hand
    assert size.flops(np.zeros(0, dtype=np.int64)) == 0


@pytest.mark.parametrize("content", [b"", struct.pack("<Q", 3) + b"{]}"])
def test_weights_that_are_no_safetensors_are_named(bundle, tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    damaged = Bundle(tmp_path, Bundle.open(bundle).ranker)
    with pytest.raises(InputError, match="model.safetensors: not a safetensors file"):
        EncoderSize.of(damaged)


def test_the_lengths_are_of_the_distinct_texts_of_each_chunk(bundle, tmp_path):
    rows = pool_rows(6)
    rows[2]["instruction"] = rows[0]["instruction"]
    pool = write_jsonl(tmp_path / "pool.jsonl", [*rows[:3], b"{", *rows[3:]])
    opened = Bundle.open(bundle)
    encoder = PairEncoder.of_bundle(opened)
    records = [item for item in read_pool(pool) if hasattr(item, "response")]
    expected = []
    for chunk in (records[:3], records[3:]):
        texts = {text for record in chunk for text in (record.turns[0].text, record.response)}
        expected += [len(encoder.text.alone(ids[:30])) for ids in encoder.text.bare(sorted(texts))]
    lengths = encoded_lengths(opened, pool, (4, 3), reading=Reading())
    assert sorted(lengths.tolist()) == sorted(expected)
    anew = encoded_lengths(opened, pool, (4, 3), reading=Reading(), anew=True)
    assert len(anew) == 2 * len(records) > len(lengths)


def test_the_written_product_is_a_matrix_product():
    import onnx

    (node,) = onnx.load_from_string(PRODUCT).graph.node
    assert (node.op_type, list(node.input), list(node.output)) == ("MatMul", ["a", "b"], ["c"])
    onnx.checker.check_model(PRODUCT)


def test_the_speed_is_that_of_the_fastest_product(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 4.0, 4.5, 99.0])  # 2 s, then half a second
    monkeypatch.setattr("scar.serving.bench.peak.time.perf_counter", lambda: next(now))
    monkeypatch.setattr("scar.serving.bench.peak.SECONDS", 10.0)
    assert gflops(lambda a, b: lambda: None, 100) == pytest.approx(2e-9 * 100**3 / 0.5)


def test_the_fastest_library_and_size_is_the_peak(monkeypatch):
    found = iter([3.0, 9.0, 5.0])
    monkeypatch.setattr("scar.serving.bench.peak._products", lambda threads: iter([("fp32", "numpy", None)]))
    monkeypatch.setattr("scar.serving.bench.peak.gflops", lambda product, size: next(found))
    assert peaks() == {"fp32": Peak(9.0, "numpy, 1024 x 1024")}


def test_every_library_multiplies(monkeypatch):
    from scar.serving.bench import peak

    drawn = np.random.default_rng(1).random((2, 16, 16), dtype=np.float32)
    expected = drawn[0] @ drawn[1]
    for precision, _, product in peak._products(0):
        result = product(drawn[0], drawn[1])()
        array = np.asarray(result if isinstance(result, np.ndarray) else next(iter(_values(result))))
        assert np.allclose(array, expected, rtol=1e-5 if precision == "fp32" else 2e-2), precision


def _values(result):
    return result if isinstance(result, list) else result.values()


def test_a_header_names_shapes_only(tmp_path, bundle):
    header = {
        "__metadata__": {"format": "pt"},
        "encoder.layers.0.dense.weight": {"dtype": "F32", "shape": [3, 5], "data_offsets": [0, 60]},
        "encoder.embeddings.tok.weight": {"dtype": "F32", "shape": [9, 5], "data_offsets": [60, 240]},
        "output.weight": {"dtype": "F32", "shape": [5], "data_offsets": [240, 260]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    size = EncoderSize.of(Bundle(tmp_path, Bundle.open(bundle).ranker))
    assert (size.parameters, size.layers) == (math.prod([3, 5]), 1)

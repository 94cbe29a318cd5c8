"""Which records count for what is to be run here."""

import pytest

from scar.serving.gates.keys import Here, Key, differing, newest

CARD = {"card": "H100"}
TORCH = {"scar-rank": "1", "torch": "2", "transformers": "5"}


def key(engine="torch", precision="bf16", device="cuda", processor=CARD, versions=TORCH):
    return Key("", "abc", engine, precision, Here(device, processor, versions))


def record(of, **changed):
    told = {"graph": of.graph, "sha256": of.sha256, "engine": of.engine, "precision": of.precision}
    here = {"device": of.here.device, "processor": of.here.processor, "versions": of.here.versions}
    return {**told, **here, "passed": True, **changed}


def test_the_same_machine_and_libraries_match():
    assert differing(record(key()), key()) == ""


@pytest.mark.parametrize(
    ("versions", "name"),
    [
        ({**TORCH, "flash-attn": "2"}, "flash-attn"),
        ({**TORCH, "transformers": "6"}, "transformers"),
        ({**TORCH, "torch": "3"}, "torch"),
    ],
)
def test_another_kernel_or_version_is_another_thing(versions, name):
    assert differing(record(key()), key(versions=versions)) == name


def test_cards_that_the_driver_does_not_name_never_match():
    unknown = key(processor={"card": "unknown"})
    assert differing(record(unknown), unknown) == "processor"


@pytest.mark.parametrize(("device", "counts"), [("cpu", True), ("cuda:1", True), ("tensorrt", False)])
def test_fp32_of_onnx_runtime_counts_from_elsewhere_where_it_is_fp32(device, counts):
    here = key("onnxruntime", "fp32", device, CARD, {"onnxruntime": "1"})
    exported = record(here, device="cpu", processor={"machine": "x"}, versions={"onnxruntime": "0"})
    assert (newest([exported], here) is not None) is counts

"""When a gate's record is about what is to be run here, and which record counts. Knows no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scar.serving.engines import hardware, versions

LIBRARIES = {
    "onnxruntime": ("scar-rank", "onnxruntime", "onnxruntime-gpu"),
    "openvino": ("scar-rank", "openvino"),
    "torch": ("scar-rank", "torch", "transformers", "flash-attn"),
}
"""Libraries of each engine on whose version its scores depend."""
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Here:
    """The machine: a device, what computes there, and the versions of the libraries."""

    device: str
    processor: Mapping[str, Any]
    versions: Mapping[str, str]

    @classmethod
    def on(cls, device: str) -> "Here":
        """Look at this machine."""
        return cls(device, hardware(device), versions())


@dataclass(frozen=True)
class Key:
    """All that the scores of a graph depend on."""

    graph: str
    sha256: str
    engine: str
    precision: str
    here: Here


def differing(record: Record, key: Key) -> str:
    """Name the first part of the key in which a record is of something else; empty where it is of this."""
    for name in ("graph", "sha256", "engine", "precision"):
        if record.get(name) != getattr(key, name):
            return name
    # Records of earlier versions, all made on a CPU, name no device.
    if _kind(record.get("device", "cpu")) != _kind(key.here.device):
        return "device"
    # A card that the driver does not name may be any.
    if record.get("processor") != key.here.processor or key.here.processor.get("card") == "unknown":
        return "processor"
    theirs = record.get("versions", {})
    for name in LIBRARIES[key.engine]:
        if theirs.get(name) != key.here.versions.get(name):
            return name
    return ""


def newest(records: Sequence[Record], key: Key) -> Record | None:
    """Give the newest record, of those oldest first, that was judged and is about this very key.

    An fp32 graph on ONNX Runtime computes what it says on every processor: where there is no record of this machine,
    one of another counts, such as that of the export. Whatever else it is, the whole key must match.
    """
    judged = [record for record in records if not record.get("unverified")]
    here = [record for record in judged if not differing(record, key)]
    if not here and (key.engine, key.precision) == ("onnxruntime", "fp32") and is_exact(key.here.device):
        here = [record for record in judged if _same_graph(record, key)]
    return here[-1] if here else None


def is_exact(device: str) -> bool:
    """Tell whether ONNX Runtime's fp32 is fp32 on a device: TensorRT may round products to TF32."""
    return _kind(device) in ("cpu", "cuda")


def passed_elsewhere(records: Sequence[Record], key: Key) -> str:
    """Tell why the newest record of a graph, engine and precision is not of here; empty where it did not pass."""
    same = [record for record in records if not record.get("unverified") and _same_graph(record, key)]
    return differing(same[-1], key) if same and same[-1]["passed"] else ""


def _same_graph(record: Record, key: Key) -> bool:
    # Of a graph that could not be made there is a record without a checksum.
    return all(record.get(name) == getattr(key, name) for name in ("graph", "sha256", "engine", "precision"))


def _kind(device: str) -> str:
    return device.partition(":")[0]

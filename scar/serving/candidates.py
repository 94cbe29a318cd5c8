"""Which engines, graphs and precisions this machine can run for a bundle. Knows no gates."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from scar.bundle import VARIANTS, WEIGHTS, Bundle
from scar.serving.engines import has_bf16
from scar.settings import Scoring

GRAPH_ENGINES: Mapping[str, Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "onnxruntime": {
        "cpu": {"fp32": ("fp32",), "int8": ("int8",)},
        "cuda": {"fp32": ("fp32",), "fp16": ("fp16",)},
        "tensorrt": {"fp32": ("fp32",), "fp16": ("fp16",)},
    },
    "openvino": {"cpu": {"fp32": ("fp32", "bf16"), "int8": ("int8",)}},
}
"""Engine -> device -> precision of a graph's weights -> precisions that it runs them in. fp16 on a CPU is emulated."""
WEIGHT_ENGINES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "torch": {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16")},
}
"""Engines that run the bundle's weights and need no graph: engine -> device -> precisions."""


@dataclass(frozen=True)
class Candidate:
    """One way to run a bundle's ranker."""

    engine: str
    graph: str
    """File of the graph; empty where the engine runs the bundle's weights."""
    precision: str
    device: str = "cpu"

    @property
    def file(self) -> str:
        """The file whose checksum says which model it is."""
        return self.graph or WEIGHTS

    def __str__(self) -> str:
        """Tell it in a few words."""
        return " ".join(part for part in (self.engine, self.precision, self.graph) if part)


def installed(engine: str) -> bool:
    """Tell whether the library of an engine is installed; it is not imported."""
    return find_spec(engine) is not None


def candidates(bundle: Bundle, asked: Scoring) -> list[Candidate]:
    """List what this machine can run of a bundle, on the device and within what was asked for, simplest first."""
    return [
        candidate
        for candidate in _all(bundle, asked.device)
        if asked.engine in ("auto", candidate.engine)
        and asked.precision in ("auto", candidate.precision)
        and asked.graph in ("auto", _variant(bundle, candidate))
        and installed(candidate.engine)
        and (candidate.precision != "bf16" or candidate.device != "cpu" or has_bf16())
        # Torch on a CPU is the slowest of all, and slow to load.
        and ((candidate.engine, candidate.device) != ("torch", "cpu") or asked.engine == "torch")
    ]


def _all(bundle: Bundle, device: str) -> list[Candidate]:
    kind = device.partition(":")[0]
    graphs = {bundle.graphs.variant(name): weights for name, weights in VARIANTS.items()}
    of_graphs = [
        Candidate(engine, graph, precision, device)
        for engine, devices in GRAPH_ENGINES.items()
        for graph, weights in graphs.items()
        if bundle.has(graph)
        for precision in devices.get(kind, {}).get(weights, ())
    ]
    return of_graphs + [
        Candidate(engine, "", precision, device)
        for engine, devices in WEIGHT_ENGINES.items()
        for precision in devices.get(kind, ())
    ]


def _variant(bundle: Bundle, candidate: Candidate) -> str:
    return bundle.graphs.variant_of(candidate.graph) if candidate.graph else ""

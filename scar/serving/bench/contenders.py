"""Which engines, graphs and precisions of a bundle are timed beside each other, and which are left out and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from scar.bundle import VARIANTS, Bundle
from scar.errors import InputError
from scar.serving.engines import processor

FP32_GRAPHS = tuple(name for name, precision in VARIANTS.items() if precision == "fp32")


@dataclass(frozen=True)
class Contender:
    """One way to score: `onnxruntime/fused/fp32`."""

    engine: str
    graph: str
    """The variant: reference, fused, int8 and so on."""
    precision: str

    @property
    def name(self) -> str:
        """How it is written on the command line and in tables."""
        return f"{self.engine}/{self.graph}/{self.precision}"

    @property
    def scoring(self) -> dict[str, str]:
        """The settings that ask for it."""
        # The torch engine runs the weights, whatever graphs there are.
        graph = "auto" if self.engine == "torch" else self.graph
        return {"engine": self.engine, "graph": graph, "precision": self.precision}


def possible(bundle: Bundle, device: str) -> list[Contender]:
    """List what a bundle's graphs could run as on a device, by engine; the fused graph, which is the usual one, first.

    Raises InputError where the bundle has no graphs.
    """
    graphs = bundle.graphs
    there = [name for name in VARIANTS if bundle.has(graphs.variant(name))]
    there.sort(key=lambda name: name != "fused")
    if (not there or not all(bundle.has(name) for name in graphs.beside)) and device == "cpu":
        raise InputError(f"{bundle.path} has no graphs yet: run `scar export {bundle.path}`")
    on_cpu = device == "cpu"
    found = [Contender("onnxruntime", graph, VARIANTS[graph]) for graph in there]
    if on_cpu:
        found = [one for one in found if one.precision != "fp16"]
        found += [
            Contender("openvino", graph, precision)
            for graph in there
            if VARIANTS[graph] != "fp16"
            for precision in (("fp32", "bf16") if graph in FP32_GRAPHS else (VARIANTS[graph],))
        ]
    else:
        found += [Contender("torch", "reference", precision) for precision in ("fp32", "bf16", "fp16")]
    return found


def chosen(found: Sequence[Contender], only: Sequence[str]) -> list[Contender]:
    """Restrict contenders to those named. Raises InputError where a name is none of them."""
    names = {one.name: one for one in found}
    for name in only:
        if name not in names:
            raise InputError(f"--contenders {name}: no such contender; there are: {', '.join(names)}")
    return [names[name] for name in dict.fromkeys(only)] or list(found)


def failed(bundle: Bundle, contender: Contender) -> str:
    """Say why a contender's gate failed, by the newest record for this file and processor; else nothing."""
    if contender.engine == "torch":
        return ""  # a record of weights, not of a graph: the run itself refuses what failed
    graph = bundle.graphs.variant(contender.graph)
    key = (graph, bundle.digest(graph)[graph], contender.engine, contender.precision, processor())
    records = [record for record in bundle.gates() if _key(record) == key]
    if not records or records[-1]["passed"]:
        return ""
    return f"its gate failed: {records[-1].get('reason') or 'see gates.json'}"


def _key(record: dict[str, object]) -> tuple[object, ...]:
    return tuple(record.get(name) for name in ("graph", "sha256", "engine", "precision", "processor"))

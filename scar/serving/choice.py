"""Which of a bundle's graphs score, on which engine and in which precision."""

from dataclasses import dataclass

from scar.bundle import GATES, Bundle
from scar.errors import InputError
from scar.settings import Scoring


@dataclass(frozen=True)
class Choice:
    """Which graph, engine and precision score, and why."""

    graph: str
    engine: str
    precision: str
    why: str


def choose(bundle: Bundle, scoring: Scoring) -> Choice:
    """Choose the graph: what was asked for by name, else the fused one where its gate passed.

    Raises InputError where the bundle has no graph, or not the one that was asked for.
    """
    graphs = bundle.graphs
    if not all(bundle.has(name) for name in (graphs.reference, *graphs.beside)):
        raise InputError(f"{bundle.path} has no graphs yet: run `scar export {bundle.path}`")
    passed = _passed(bundle, graphs.variant("fused"))
    if scoring.graph == "fused" and not passed:
        raise InputError(
            f"{bundle.path}: no fused graph that passed its gate; see {GATES}, or use --graph reference"
        )
    fused = passed and scoring.graph != "reference"
    why = (
        "asked for"
        if scoring.graph != "auto"
        else f"its gate passed ({GATES})"
        if fused
        else "no fused graph"
    )
    return Choice(graphs.variant("fused") if fused else graphs.reference, "onnxruntime", "fp32", why)


def _passed(bundle: Bundle, graph: str) -> bool:
    """Tell whether the newest record about this very file says that it passed."""
    if not bundle.has(graph):
        return False
    digest = bundle.digest(graph)[graph]
    records = [
        record for record in bundle.gates() if (record["graph"], record.get("sha256")) == (graph, digest)
    ]
    return bool(records) and bool(records[-1]["passed"])

"""Which of a bundle's graphs score, on which engine and in which precision: the fastest that a gate vouches for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scar.bundle import GATES, Bundle
from scar.errors import InputError
from scar.serving.candidates import Candidate, candidates, installed
from scar.serving.engines.onnx import onnxruntime
from scar.serving.engines.openvino import openvino
from scar.serving.gates.keys import Here, Key, differing, is_exact, newest, passed_elsewhere
from scar.serving.gates.records import records_of
from scar.settings import Scoring


@dataclass(frozen=True)
class Choice:
    """Which graph, engine and precision score, and why."""

    graph: str
    """File of the graph; empty where the engine runs the bundle's weights."""
    engine: str
    precision: str
    why: str


@dataclass(frozen=True)
class Judged:
    """A candidate, and the newest record that counts for it."""

    candidate: Candidate
    record: Mapping[str, Any]
    """Empty where there is none."""
    here: bool
    """Whether the record was made on this machine, as it is now."""
    elsewhere: str
    """What tells the machine or libraries of a record that passed from those here, where only such a one is there."""

    @property
    def is_plain(self) -> bool:
        """Whether it is on ONNX Runtime in fp32, as the reference of all gates."""
        way = self.candidate
        return (way.engine, way.precision) == ("onnxruntime", "fp32") and is_exact(way.device)

    @property
    def passed(self) -> bool:
        """Whether that record says that the gate passed."""
        return bool(self.record.get("passed"))

    @property
    def failed(self) -> bool:
        """Whether that record says that it did not."""
        return bool(self.record) and not self.passed

    @property
    def times(self) -> float | None:
        """Speed in that of the reference, timed here in the same rounds, so that another load slows both."""
        return self.record["speed"]["times"] if self.here and "speed" in self.record else None


def choose(bundle: Bundle, scoring: Scoring) -> Choice:
    """Choose the fastest, by its gate's record, of what is installed, was asked for, and passed its gate here.

    Without such a record that is the fused fp32 graph on ONNX Runtime where its gate passed at export, else the
    reference. Reduced precision is taken only under a record of this processor and these libraries; a graph whose
    scores depend on batch mates only by name. Raises InputError where the bundle has no graph, or where what was asked
    for cannot be run, failed its gate, or, in reduced precision, has no record.
    """
    _check_exported(bundle, scoring)
    found = look(bundle, scoring)
    if not found:
        raise InputError(_missing(bundle, scoring))
    trusted = [judged for judged in found if _is_trusted(bundle, judged, scoring)]
    if not trusted:
        return _ungated(bundle, scoring, found)
    # Of equals the later one: fused after reference, where neither was timed. An fp32 graph in another order of sums
    # is about as fast as the reference; what else was never timed is behind it.
    best = max(reversed(trusted), key=lambda judged: judged.times or float(judged.is_plain))
    return _choice(best.candidate, _why(best, found, scoring))


def _choice(candidate: Candidate, why: str) -> Choice:
    return Choice(candidate.graph, candidate.engine, candidate.precision, why)


def _check_exported(bundle: Bundle, scoring: Scoring) -> None:
    graphs = bundle.graphs
    if scoring.engine != "torch" and not all(bundle.has(name) for name in (graphs.reference, *graphs.beside)):
        raise InputError(f"{bundle.path} has no graphs yet: run `scar export {bundle.path}`")


def look(bundle: Bundle, scoring: Scoring) -> list[Judged]:
    """Find the record that counts for each way to run a bundle here, within what was asked for."""
    records, here = records_of(bundle, scoring.gates), Here.on(scoring.device)
    judged = []
    for candidate in candidates(bundle, scoring):
        digest = bundle.digest(candidate.file)[candidate.file]
        key = Key(candidate.graph, digest, candidate.engine, candidate.precision, here)
        record = newest(records, key) or {}
        elsewhere = "" if record else passed_elsewhere(records, key)
        judged.append(Judged(candidate, record, not differing(record, key), elsewhere))
    return judged


def _is_trusted(bundle: Bundle, judged: Judged, scoring: Scoring) -> bool:
    """Tell whether a candidate may score: it passed, or is the reference itself and never failed."""
    if judged.record.get("batch_dependent") and scoring.graph == "auto":
        return False
    is_reference = judged.is_plain and judged.candidate.graph == bundle.graphs.reference
    return judged.passed or (is_reference and not judged.failed)


def _why(best: Judged, found: Sequence[Judged], scoring: Scoring) -> str:
    """Tell why it is this one, and why nothing in reduced precision where a gate was run for one."""
    names = [f"--{name}" for name in ("engine", "precision", "graph") if getattr(scoring, name) != "auto"]
    told = [f"asked for by {' '.join(names)}"] if names else []
    if best.times is not None:
        told.append(f"its gate passed here, {best.times:.2f} times the reference's speed")
    else:
        told.append("its gate passed at export" if best.passed else "the reference graph")
    others = [judged for judged in found if not judged.is_plain]
    if changed := sorted({judged.elsewhere for judged in others if judged.elsewhere}):
        told.append(f"gates passed with another {' and '.join(changed)} do not count: run `scar gate`")
    elif best.is_plain and (failed := [judged for judged in others if judged.failed]):
        told.append(f"{failed[0].candidate} is not used: {failed[0].record['reason']}")
    return "; ".join(told)


def _ungated(bundle: Bundle, scoring: Scoring, found: Sequence[Judged]) -> Choice:
    """Take fp32 on an engine that was asked for, though no gate was run; InputError for all else, with the remedy."""
    new = [judged for judged in found if judged.candidate.precision == "fp32" and not judged.is_plain]
    if new and not new[0].record and scoring.engine != "auto":
        remedy = _remedy(bundle, new[0].candidate)
        return _choice(new[0].candidate, f"asked for; no gate record on this machine: run `{remedy}`")
    if failed := [judged for judged in found if judged.failed]:
        reason = failed[0].record["reason"]
        raise InputError(f"{bundle.path}: {failed[0].candidate} did not pass its gate: {reason}; see {GATES}")
    if scoring.engine == "auto" and not installed("onnxruntime"):
        onnxruntime()  # raises, naming the extras: another engine needs a gate, and the gate needs this one
    first = found[0]
    lack = f"only one with another {first.elsewhere}" if first.elsewhere else "none"
    raise InputError(
        f"{bundle.path}: {first.candidate} needs a gate that passed here, and there is {lack}: "
        f"run `{_remedy(bundle, first.candidate)}`"
    )


def _remedy(bundle: Bundle, candidate: Candidate) -> str:
    device = "" if candidate.device == "cpu" else f" --device {candidate.device}"
    flags = f"--engine {candidate.engine} --precision {candidate.precision}{device}"
    return f"scar gate {bundle.path} --rows POOL {flags}"


def _missing(bundle: Bundle, scoring: Scoring) -> str:
    """Tell what of that which was asked for is not there, and what to do. Raises InputError for a missing library."""
    if scoring.engine in ("auto", "onnxruntime") and not installed("onnxruntime"):
        onnxruntime()
    if scoring.engine == "openvino":
        openvino()
    if scoring.graph != "auto" and not bundle.has(bundle.graphs.variant(scoring.graph)):
        return f"{bundle.path}: no {scoring.graph} graph that passed its gate; see {GATES}, or use --graph reference"
    names = [name for name in ("engine", "precision", "graph", "device") if getattr(scoring, name) != "auto"]
    asked = " ".join(f"--{name} {getattr(scoring, name)}" for name in names)
    return f"nothing here runs {bundle.path} with {asked}: `scar doctor {bundle.path}` shows what does"

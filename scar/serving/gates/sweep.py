"""Gate a bundle on this machine: each engine, graph and precision that it has, beside the fp32 reference graph."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scar.bundle import GATE_ROWS, Bundle
from scar.encoding import PairEncoder, Pairs
from scar.errors import GateError, InputError
from scar.serving.candidates import Candidate, candidates, installed
from scar.serving.engines import Runtime, budget
from scar.serving.engines.graph_file import GraphError
from scar.serving.engines.onnx import failures
from scar.serving.gates.gate import Reference, judge, record_of, unverified
from scar.serving.gates.limits import is_trained
from scar.serving.gates.records import add_records, check_place
from scar.serving.gates.rows import load_gate_rows, pool_pairs, spread_evenly
from scar.serving.gates.speed import PAIRS, measure
from scar.serving.models import Model, load_model
from scar.settings import Reading, Scoring

log = logging.getLogger("scar")
Record = dict[str, Any]
ROWS = 2048
"""Records of a pool that are compared: a chunk of a run, packed as in a run."""


@dataclass(frozen=True)
class GateReport:
    """The record of every candidate, in the order in which they ran, and the file that they were added to."""

    bundle: Path
    records: list[Record]
    written: Path


def gate_bundle(
    path: str | Path,
    rows: str | Path | None = None,
    *,
    asked: Scoring | None = None,
    reading: Reading | None = None,
    limit: int = ROWS,
    gates: Path | None = None,
) -> GateReport:
    """Compare what this machine can run of a bundle with its fp32 reference graph on ONNX Runtime; keep the records.

    `asked` restricts engine, graph, precision and device. `rows` is a pool, of which up to `limit` records are taken;
    without one, it is the few rows kept at training, enough for fp32 alone. `gates` is a file for the records of a
    bundle that cannot be written. Raises InputError where nothing of what was asked for can be run here, GateError
    where nothing of it passed; the records are kept either way.
    """
    if limit < 2:
        raise InputError(f"--limit must be at least 2, got {limit}")
    asked, bundle = asked or Scoring(), Bundle.open(path)
    check_place(bundle, gates)
    ways = wanted(bundle, asked)
    bench = _Bench.of(bundle, asked, _pairs(bundle, rows, reading or Reading(), limit))
    records = []
    for way in ways:
        records.append(bench.gate(way))
        # One after the other: what took minutes is kept where the next is interrupted.
        written = add_records(bundle, records[-1:], gates)
    if _told(asked):
        _need_one(bundle, records, written)
    return GateReport(bundle.path, records, written)


def wanted(bundle: Bundle, asked: Scoring) -> list[Candidate]:
    """List what is to be judged: all that was asked for; the reference itself only where its graph is named.

    Raises InputError where this machine can run nothing of it, or has nothing to compare it with.
    """
    graphs = bundle.graphs
    if not all(bundle.has(name) for name in (graphs.reference, *graphs.beside)):
        raise InputError(f"{bundle.path} has no graphs yet: run `scar export {bundle.path}`")
    if not installed("onnxruntime"):
        raise InputError(
            "every gate compares with ONNX Runtime, which is not installed: pip install 'scar-rank[cpu]'"
        )
    can = candidates(bundle, asked)
    reference = Candidate("onnxruntime", graphs.reference, "fp32")
    found = [candidate for candidate in can if candidate != reference or asked.graph == "reference"]
    if not found:
        raise InputError(
            f"{bundle.path}: nothing here to compare with the reference graph on onnxruntime in fp32"
            + (f" for {asked_for}" if (asked_for := _told(asked)) else "")
            + f": `scar doctor {bundle.path}` shows what can be run"
        )
    return found


def _pairs(bundle: Bundle, rows: str | Path | None, reading: Reading, limit: int) -> Pairs:
    if rows is None:
        return load_gate_rows(bundle.path / GATE_ROWS)
    return pool_pairs(PairEncoder.of_bundle(bundle), Path(rows), reading, limit)


@dataclass(frozen=True)
class _Bench:
    """The reference with its scores, and what every candidate is loaded with."""

    bundle: Bundle
    scores: Reference
    reference: Model
    load: Callable[[Candidate], Model]

    @classmethod
    def of(cls, bundle: Bundle, asked: Scoring, pairs: Pairs) -> "_Bench":
        graphs, encoder = bundle.graphs, PairEncoder.of_bundle(bundle)

        def load(candidate: Candidate) -> Model:
            return load_model(
                bundle.path,
                graphs,
                candidate.graph,
                pad_id=encoder.settings.pad_id,
                batch_tokens=asked.batch_tokens or budget(candidate.engine, candidate.device).batch_tokens,
                runtime=Runtime(candidate.engine, candidate.precision, candidate.device, asked.threads),
            )

        model = load(Candidate("onnxruntime", graphs.reference, "fp32"))
        log.info("reference: %s on onnxruntime in fp32, %d rows", graphs.reference, len(pairs))
        scores = Reference.of(model, pairs, encoder, trained=is_trained(bundle.ranker))
        return cls(bundle, scores, model, load)

    def gate(self, candidate: Candidate) -> Record:
        """Run a candidate through its gate and time it; one that cannot be run says how it failed."""
        log.info("gate: %s", candidate)
        file = self.bundle.path / candidate.file
        digest = self.bundle.digest(candidate.file)[candidate.file]
        about = record_of(candidate, digest, self.scores.engine) | {"bytes": file.stat().st_size}
        refusals: tuple[type[Exception], ...] = (RuntimeError, GraphError, *failures())
        try:
            model = self.load(candidate)
            found = judge(self.scores, model)
            return about | found | ({} if "unverified" in found else {"speed": self._speed(model)})
        except refusals as error:
            # An engine may lack an operator of a graph: that graph is not for it, and the next may be.
            return about | {"passed": False, "reason": f"cannot be run: {' '.join(str(error).split())[:300]}"}
        except InputError as error:
            return about | unverified(str(error))

    def _speed(self, model: Model) -> dict[str, Any]:
        return measure(self.reference, model, spread_evenly(self.scores.real, PAIRS))


def _need_one(bundle: Bundle, records: Sequence[Record], written: Path) -> None:
    """Raise where nothing passed of what was asked for: InputError where nothing could even be judged."""
    if any(record["passed"] for record in records):
        return
    told = "; ".join(f"{_name(record)}: {record['reason']}" for record in records)
    if all(record.get("unverified") for record in records):
        raise InputError(f"{bundle.path}: no gate could be run: {told}")
    raise GateError(f"{bundle.path}: no gate passed: {told} (figures in {written})")


def _told(asked: Scoring) -> str:
    """Tell what was asked for by name, as flags; empty where nothing was."""
    plain = Scoring()
    names = ("engine", "precision", "graph", "device")
    return " ".join(
        f"--{name} {getattr(asked, name)}" for name in names if getattr(asked, name) != getattr(plain, name)
    )


def _name(record: Record) -> str:
    return " ".join(part for part in (record["engine"], record["precision"], record["graph"]) if part)

"""Bundle -> ONNX graphs, each behind its gate. A graph that fails is not written."""

import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scar.bundle import GATE_ROWS, GATES, TOKENIZER_CHECK, Bundle, Graphs, changing
from scar.encoding import PairEncoder, Pairs
from scar.errors import GateError, InputError
from scar.files import read_json, sha256, write_json
from scar.serving.engines import Runtime
from scar.serving.gates import Reference, gate, is_trained, load_gate_rows
from scar.serving.gates.rows import pool_pairs
from scar.serving.models import load_model
from scar.settings import Reading
from scar.training.engine import torch_model
from scar.training.graphs import FUSED, fuse, unfused, write_graphs
from scar.training.save import GATE_PAIRS, load_ranker

log = logging.getLogger("scar")
BATCH_TOKENS = 2048


@dataclass(frozen=True)
class ExportReport:
    """The gate's record of every graph, in the order they were made."""

    bundle: Path
    records: list[dict[str, Any]]


def export(
    path: Path, *, graphs: str = "auto", rows: Path | None = None, reading: Reading | None = None
) -> ExportReport:
    """Export a bundle's graphs into it. `graphs` is reference, or reference,fused, or auto (fused if it can be).

    Raises GateError where the reference graph, or one asked for by name, does not hold; every gate's figures go to
    gates.json either way. `rows` is a pool to compare on, by default the validation rows kept at training.
    """
    names = _wanted(graphs)
    bundle = Bundle.open(path)
    kind, encoder = bundle.graphs, PairEncoder.of_bundle(bundle)
    pairs = _gate_pairs(bundle, encoder, rows, reading or Reading())
    check_tokenizer(bundle, encoder)
    ranker = load_ranker(bundle)
    model = torch_model(ranker, encoder.settings.pad_id, BATCH_TOKENS)
    reference = Reference.of(model, pairs, encoder, trained=is_trained(bundle.ranker))
    with tempfile.TemporaryDirectory(dir=bundle.path.parent, prefix=f".{bundle.path.name}.export") as temp:
        folder = Path(temp)
        write_graphs(ranker, folder, token_types=encoder.settings.token_types)
        records = [gated(kind.reference, kind, folder, reference, encoder.settings.pad_id)]
        if "fused" in names and records[0]["passed"]:
            records.append(_fused(kind, folder, reference, encoder.settings.pad_id))
            _check_fused(ranker.encoder.config, records[-1])
        _keep(bundle, folder, records)
    failed = [record for record in records if not record["passed"]]
    if failed and (graphs != "auto" or failed[0]["graph"] == kind.reference or "unfused" in failed[0]):
        raise GateError(
            f"{failed[0]['graph']} is not used: {failed[0]['reason']} (figures in {bundle.path / GATES})"
        )
    return ExportReport(bundle.path, records)


def _wanted(graphs: str) -> list[str]:
    names = ["reference", "fused"] if graphs == "auto" else [name.strip() for name in graphs.split(",")]
    unknown = [name for name in names if name not in ("reference", "fused")]
    if unknown or "reference" not in names:
        raise InputError(f"--graphs {graphs!r}: give auto, reference, or reference,fused")
    return names


def _gate_pairs(bundle: Bundle, encoder: PairEncoder, rows: Path | None, reading: Reading) -> Pairs:
    if rows is None:
        return load_gate_rows(bundle.path / GATE_ROWS)
    return pool_pairs(encoder, rows, reading, GATE_PAIRS)


def check_tokenizer(bundle: Bundle, encoder: PairEncoder) -> None:
    """Compare the serving tokenizer with the ids that the training tokenizer gave when the bundle was made.

    Raises GateError with the first text on which they differ.
    """
    known = read_json(bundle.path / TOKENIZER_CHECK, "train the ranker again")
    have = encoder.text.encode([entry["text"] for entry in known], encoder.settings.max_tokens)
    for number, entry in enumerate(known):
        mine = have.ids[have.offsets[number] : have.offsets[number + 1]].tolist()
        if mine != entry["ids"]:
            raise GateError(
                f"{bundle.path}: tokenizer.json gives other ids than the training tokenizer "
                f"for {entry['text'][:60]!r}: {mine[:8]}... and {entry['ids'][:8]}..."
            )


def gated(graph: str, kind: Graphs, folder: Path, reference: Reference, pad_id: int) -> dict[str, Any]:
    """Run a graph of a folder, with what stands beside it, through its gate."""
    candidate = load_model(folder, kind, graph, pad_id=pad_id, batch_tokens=BATCH_TOKENS, runtime=Runtime())
    return gate(graph, sha256(folder / graph), reference, candidate)


def _fused(kind: Graphs, folder: Path, reference: Reference, pad_id: int) -> dict[str, Any]:
    """Fuse the graph's attention, normalisation and activation, count what was fused, and gate the result."""
    try:
        counts = fuse(folder / kind.reference, folder / kind.variant("fused"))
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        # The rewriter meets graphs that it was not made for; the reference graph is none the worse for it.
        log.warning("the optimiser failed: %s", error)
        return {
            "graph": kind.variant("fused"),
            "passed": False,
            "reason": f"the optimiser failed: {type(error).__name__}",
        }
    return gated(kind.variant("fused"), kind, folder, reference, pad_id) | {"fused": counts}


def _check_fused(encoder: Any, record: dict[str, Any]) -> None:
    """Refuse what the optimiser left as it was, without a word; name what an architecture that we know lacks."""
    counts = record.get("fused")
    lacking = unfused(encoder.model_type, encoder.num_hidden_layers, counts) if counts is not None else []
    if lacking:
        told = f"{', '.join(lacking)} not fused in each of {encoder.num_hidden_layers} layers of {encoder.model_type}"
        record |= {"passed": False, "reason": told}
        if encoder.model_type in FUSED:
            record["unfused"] = lacking


def _keep(bundle: Bundle, folder: Path, records: list[dict[str, Any]]) -> None:
    """Move what passed into the bundle, take out what did not, and write down both."""
    kind = bundle.graphs
    with changing(bundle) as change:
        passed = [record["graph"] for record in records if record["passed"]]
        # Without its reference, nothing is left to compare with.
        whole = kind.reference in passed
        change.removed.update({record["graph"] for record in records} if whole else kind.all)
        for name in [*passed, *kind.beside] if whole else []:
            shutil.copyfile(folder / name, change.folder / name)
        write_json(change.folder / GATES, {"records": [*bundle.gates(), *records]})

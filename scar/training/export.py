"""Bundle -> ONNX graphs, each behind its gate. A graph that fails is not written."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scar.bundle import (
    CANARIES,
    ENCODER,
    GATE_ROWS,
    GATES,
    TOKENIZER,
    TOKENIZER_CHECK,
    VARIANTS,
    Bundle,
    changing,
)
from scar.encoding import PairEncoder, Pairs
from scar.errors import GateError, InputError
from scar.files import read_json, sha256, write_json
from scar.folders import own_folder
from scar.serving.canaries import made_for, write_canaries
from scar.serving.engines import Runtime
from scar.serving.gates import Reference, is_trained, load_gate_rows
from scar.serving.gates.figures import spread
from scar.serving.gates.rows import pool_pairs
from scar.serving.models import load_model
from scar.settings import Reading
from scar.training.engine import torch_model
from scar.training.graphs import write_graphs
from scar.training.save import GATE_PAIRS, load_ranker
from scar.training.variants import BATCH_TOKENS, Variants, gated, split

REDUCED_PAIRS = 2304
"""Pairs that a graph in reduced precision is judged on, the ones that calibrate it among them: 2,000 at least judge."""


@dataclass(frozen=True)
class ExportReport:
    """The gate's record of every graph, in the order they were made."""

    bundle: Path
    kind: str
    """The bundle's kind."""
    records: list[dict[str, Any]]


def export(
    path: Path, *, graphs: str = "auto", rows: Path | None = None, reading: Reading | None = None
) -> ExportReport:
    """Export a bundle's graphs into it. `graphs` is auto (the reference, and fused if it can be), or names of VARIANTS.

    Raises GateError where the reference graph, or one asked for by name, does not hold; every gate's figures go to
    gates.json either way. `rows` is a pool to compare on, by default the validation rows kept at training; one in
    eight of them sets the scales of static int8, and is not judged by.
    """
    bundle = Bundle.open(path)
    names = wanted(graphs, bundle.kind)
    kind, encoder = bundle.graphs, PairEncoder.of_bundle(bundle)
    most = GATE_PAIRS if all(VARIANTS[name] == "fp32" for name in names) else REDUCED_PAIRS
    pairs, calibration = split(
        _gate_pairs(bundle, encoder, rows, reading or Reading(), most), "int8" in names
    )
    check_tokenizer(bundle, encoder)
    ranker = load_ranker(bundle)
    model = torch_model(ranker, encoder.settings.pad_id, BATCH_TOKENS)
    reference = Reference.of(model, pairs, encoder, trained=is_trained(bundle.ranker))
    with own_folder(bundle.path.absolute().parent, f".{bundle.path.name}.export-") as folder:
        write_graphs(ranker, folder, token_types=encoder.settings.token_types)
        records = [gated(kind.reference, kind, folder, reference, encoder.settings.pad_id)]
        if records[0]["passed"]:
            described = ranker.encoder.config
            variants = Variants(kind, folder, reference, encoder.settings.pad_id, calibration, described)
            records.extend(variants.make(name) for name in names if name != "reference")
            _write_canaries(bundle, folder, encoder, spread(reference.real_scores))
        _keep(bundle, folder, records)
    failed = [record for record in records if not record["passed"] and not record.get("unverified")]
    if failed and (graphs != "auto" or failed[0]["graph"] == kind.reference or "unfused" in failed[0]):
        raise GateError(
            f"{failed[0]['graph']} is not used: {failed[0]['reason']} (figures in {bundle.path / GATES})"
        )
    return ExportReport(bundle.path, bundle.kind, records)


def wanted(graphs: str, kind: str = "") -> list[str]:
    """Read `--graphs`: names of VARIANTS, the reference among them, or auto.

    InputError names one that is unknown, and one in reduced precision where a bundle's kind has nothing to judge it by.
    """
    names = ["reference", "fused"] if graphs == "auto" else [name.strip() for name in graphs.split(",")]
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or "reference" not in names:
        raise InputError(
            f"--graphs {graphs!r}: {f'no graph {unknown[0]!r}' if unknown else 'the reference is missing'}; "
            f"give auto, or some of {','.join(VARIANTS)}, the reference among them"
        )
    if reduced := [name for name in names if kind == ENCODER and VARIANTS[name] != "fp32"]:
        raise InputError(
            f"--graphs {graphs!r}: {reduced[0]} is judged by the ranking of scores, and an encoder gives none: "
            "reference and fused are what it has"
        )
    return list(dict.fromkeys(names))


def _gate_pairs(
    bundle: Bundle, encoder: PairEncoder, rows: Path | None, reading: Reading, most: int
) -> Pairs:
    if rows is None:
        return load_gate_rows(bundle.path / GATE_ROWS)
    return pool_pairs(encoder, rows, reading, most)


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


def _write_canaries(bundle: Bundle, folder: Path, encoder: PairEncoder, sigma: float) -> None:
    """Write what the reference graph gives for a few known texts: what scoring asks any engine again and again."""
    kind, pad_id = bundle.graphs, encoder.settings.pad_id
    model = load_model(
        folder, kind, kind.reference, pad_id=pad_id, batch_tokens=BATCH_TOKENS, runtime=Runtime()
    )
    digests = {name: sha256(folder / name) for name in (kind.reference, *kind.beside)}
    known = made_for(bundle.ranker, digests | bundle.digest(TOKENIZER))
    write_canaries(folder / CANARIES, encoder, model, sigma, known)


def _keep(bundle: Bundle, folder: Path, records: list[dict[str, Any]]) -> None:
    """Move what passed into the bundle, take out what did not, and write down both."""
    kind = bundle.graphs
    with changing(bundle) as change:
        passed = [record["graph"] for record in records if record["passed"] or record.get("unverified")]
        # Without its reference, nothing is left to compare with.
        whole = kind.reference in passed
        # What was made from another reference goes too.
        same = whole and bundle.has(kind.reference) and _same(bundle, folder, kind.reference)
        change.removed.update({record["graph"] for record in records} if same else {*kind.all, CANARIES})
        for name in [*passed, *kind.beside, CANARIES] if whole else []:
            shutil.copyfile(folder / name, change.folder / name)
        write_json(change.folder / GATES, {"records": [*bundle.gates(), *records]})


def _same(bundle: Bundle, folder: Path, name: str) -> bool:
    return bundle.digest(name)[name] == sha256(folder / name)

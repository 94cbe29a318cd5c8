"""Bundle -> ONNX graphs, each behind its gate. A graph that fails is not written."""

import shutil
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from scar.bundle import GATE_ROWS, GATES, TOKENIZER_CHECK, VARIANTS, Bundle, changing
from scar.encoding import PairEncoder, Pairs
from scar.errors import GateError, InputError
from scar.files import read_json, write_json
from scar.pools import read_pool
from scar.records import Record
from scar.serving.gates import Reference, load_gate_rows
from scar.settings import Reading
from scar.training.engine import torch_model
from scar.training.graphs import write_graphs
from scar.training.save import GATE_PAIRS, load_ranker
from scar.training.variants import BATCH_TOKENS, Variants, gated, split


@dataclass(frozen=True)
class ExportReport:
    """The gate's record of every graph, in the order they were made."""

    bundle: Path
    records: list[dict[str, Any]]


def export(
    path: Path, *, graphs: str = "auto", rows: Path | None = None, reading: Reading | None = None
) -> ExportReport:
    """Export a bundle's graphs into it. `graphs` is auto (the reference, and fused if it can be), or names of VARIANTS.

    Raises GateError where the reference graph, or one asked for by name, does not hold; every gate's figures go to
    gates.json either way. `rows` is a pool to compare on, by default the validation rows kept at training; one in
    eight of them sets the scales of static int8, and is not judged by.
    """
    names = wanted(graphs)
    bundle = Bundle.open(path)
    kind, encoder = bundle.graphs, PairEncoder.of_bundle(bundle)
    pairs, calibration = split(_gate_pairs(bundle, encoder, rows, reading or Reading()), "int8" in names)
    check_tokenizer(bundle, encoder)
    ranker = load_ranker(bundle)
    reference = Reference.of(torch_model(ranker, encoder.settings.pad_id, BATCH_TOKENS), pairs, encoder)
    with tempfile.TemporaryDirectory(dir=bundle.path.parent, prefix=f".{bundle.path.name}.export") as temp:
        folder = Path(temp)
        write_graphs(ranker, folder, token_types=encoder.settings.token_types)
        records = [gated(kind.reference, kind, folder, reference, encoder.settings.pad_id)]
        if records[0]["passed"]:
            described = ranker.encoder.config
            variants = Variants(kind, folder, reference, encoder.settings.pad_id, calibration, described)
            records.extend(variants.make(name) for name in names if name != "reference")
        _keep(bundle, folder, records)
    failed = [record for record in records if not record["passed"] and not record.get("unverified")]
    if failed and (graphs != "auto" or failed[0]["graph"] == kind.reference or "unfused" in failed[0]):
        raise GateError(
            f"{failed[0]['graph']} is not used: {failed[0]['reason']} (figures in {bundle.path / GATES})"
        )
    return ExportReport(bundle.path, records)


def wanted(graphs: str) -> list[str]:
    """Read `--graphs`: names of VARIANTS, the reference among them, or auto; InputError names one that is unknown."""
    names = ["reference", "fused"] if graphs == "auto" else [name.strip() for name in graphs.split(",")]
    unknown = [name for name in names if name not in VARIANTS]
    if unknown or "reference" not in names:
        raise InputError(
            f"--graphs {graphs!r}: {f'no graph {unknown[0]!r}' if unknown else 'the reference is missing'}; "
            f"give auto, or some of {','.join(VARIANTS)}, the reference among them"
        )
    return list(dict.fromkeys(names))


def _gate_pairs(bundle: Bundle, encoder: PairEncoder, rows: Path | None, reading: Reading) -> Pairs:
    if rows is None:
        return load_gate_rows(bundle.path / GATE_ROWS)
    records = [item for item in islice(read_pool(rows, reading), 4 * GATE_PAIRS) if isinstance(item, Record)]
    if len(records) < 2:
        raise InputError(f"{rows}: a gate needs at least 2 readable rows, there are {len(records)}")
    chosen = np.unique(np.linspace(0, len(records) - 1, min(GATE_PAIRS, len(records))).round().astype(int))
    return encoder.encode([(records[n].turns, records[n].response) for n in chosen])


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


def _keep(bundle: Bundle, folder: Path, records: list[dict[str, Any]]) -> None:
    """Move what passed into the bundle, take out what did not, and write down both."""
    kind = bundle.graphs
    with changing(bundle) as change:
        passed = [record["graph"] for record in records if record["passed"] or record.get("unverified")]
        # Without its reference, nothing is left to compare with.
        whole = kind.reference in passed
        change.removed.update({record["graph"] for record in records} if whole else kind.all)
        for name in [*passed, *kind.beside] if whole else []:
            shutil.copyfile(folder / name, change.folder / name)
        write_json(change.folder / GATES, {"records": [*bundle.gates(), *records]})

"""Evaluate an exported bundle on a tiers file."""

from pathlib import Path
from typing import Any

import numpy as np

from scar.bundle import EVALUATION, changing
from scar.card import write_card
from scar.errors import InputError, RunError
from scar.evaluation import evaluate
from scar.files import refuse_existing, write_json
from scar.pools import digest, read_tiers
from scar.records import Record, SetAside, Tiers
from scar.serving.scorer import Scorer
from scar.settings import Reading, Scoring


def evaluate_bundle(
    bundle: Path,
    file: Path,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, Any], Path]:
    """Score every response of a tiers file and evaluate the order; gives the figures and where they were written.

    They replace the bundle's evaluation.json, unless `out` names another file. Raises InputError for a tier that the
    ranker was not trained on.
    """
    if out is not None:
        refuse_existing(out, overwrite=overwrite)
        if not out.parent.is_dir():
            raise InputError(f"{out.parent}: no such folder for the figures")
    scorer = Scorer.load(bundle, scoring)
    tiers = tuple(scorer.bundle.ranker["tiers"])
    items = list(read_tiers(file, reading))
    rows = [item for item in items if isinstance(item, Tiers)]
    if not rows:
        raise InputError(f"{file}: no row with responses by tier ({len(items)} rows were set aside)")
    for row in rows:
        if unknown := [tier for tier in row.responses if tier not in tiers]:
            where = f"{row.address.file}, line {row.address.line}"
            raise InputError(f"{where}: tier {unknown[0]!r} is not among the ranker's tiers {list(tiers)}")
    records = [Record(row.turns, text) for row in rows for text in row.responses.values()]
    scores = scorer.score_records(records)
    if lost := int((~np.isfinite(scores.scores)).sum()):
        raise RunError(
            f"{bundle}: {lost} of {len(records)} responses got no finite score: nothing to evaluate"
        )
    result = {
        "data": {"file": file.name, "sha256": digest(file)},
        "set_aside": sum(isinstance(item, SetAside) for item in items),
        **evaluate(rows, tiers, scores.scores),
    }
    if out is not None:
        write_json(out, result)
        return result, out
    with changing(scorer.bundle) as change:
        write_json(change.folder / EVALUATION, result)
        write_card(change.folder, dict(scorer.bundle.ranker), result)
    return result, bundle / EVALUATION

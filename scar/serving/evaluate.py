"""Evaluate an exported bundle: on a tiers file, or on rows with labels, grades or preferences."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.bundle import EVALUATION, RANKER, changing, trained_on
from scar.calibration import Calibration, Temperature, expected_calibration_error
from scar.card import write_card
from scar.errors import InputError, RunError
from scar.evaluation import evaluate, evaluate_judged, judgement_of, preferred
from scar.files import read_json, refuse_existing, require_folder, write_json
from scar.pools import digest, read_judged, read_tiers
from scar.records import Judged, Record, SetAside, Tiers
from scar.serving.scorer import Scorer
from scar.settings import Reading, Scoring

log = logging.getLogger("scar")


def evaluate_bundle(
    bundle: Path,
    file: Path,
    *,
    reading: Reading | None = None,
    scoring: Scoring | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, Any], Path]:
    """Score every response of a file and evaluate the scores; gives the figures and where they were written.

    A style ranker needs a tiers file, another one rows with a judgement, best of the kind that it learned from. The
    figures replace the bundle's evaluation.json, unless `out` names another file. Raises InputError for a tier that
    the ranker was not trained on, and for a file without a judgement.
    """
    if out is not None:
        refuse_existing(out, overwrite=overwrite)
        require_folder(out, "figures")
    scorer = Scorer.load(bundle, scoring)
    measured = _by_tiers if scorer.bundle.kind == "style" else _by_judgement
    data = {"file": file.name, "sha256": digest(file)}
    if trained_on(scorer.bundle.ranker, data["sha256"]):
        log.warning("%s: the ranker was trained on rows of this file: its figures are too good", file)
    result = {"data": data, **measured(scorer, file, reading or Reading())}
    if out is not None:
        write_json(out, result)
        return result, out
    with changing(scorer.bundle) as change:
        write_json(change.folder / EVALUATION, result)
        # Its calibration may be newer than the one that was opened.
        write_card(change.folder, read_json(bundle / RANKER, "every bundle has one"), result)
    return result, bundle / EVALUATION


def _by_tiers(scorer: Scorer, file: Path, reading: Reading) -> dict[str, Any]:
    tiers = tuple(scorer.bundle.ranker["tiers"])
    items = list(read_tiers(file, replace(reading, format="tiers") if reading.format == "auto" else reading))
    rows = [item for item in items if isinstance(item, Tiers)]
    if not rows:
        raise InputError(f"{file}: no row with responses by tier ({len(items)} rows were set aside)")
    for row in rows:
        if unknown := [tier for tier in row.responses if tier not in tiers]:
            where = f"{row.address.file}, line {row.address.line}"
            raise InputError(f"{where}: tier {unknown[0]!r} is not among the ranker's tiers {list(tiers)}")
    scores = _scored(scorer, [Record(row.turns, text) for row in rows for text in row.responses.values()])
    return {"set_aside": _aside(items), **evaluate(rows, tiers, scores)}


def _by_judgement(scorer: Scorer, file: Path, reading: Reading) -> dict[str, Any]:
    """Evaluate by the judgement that the ranker learned from; a file that has none of it, by what it has."""
    ranker = scorer.bundle.ranker
    items = list(read_judged(file, reading))
    rows = preferred([item for item in items if isinstance(item, Judged)], ranker)
    objective = judgement_of(rows, (ranker.get("objective") or {}).get("kind", "labels"))
    if objective is None:
        raise InputError(
            f"{file}: no row has a label, a score, or a chosen and another rejected response ({len(items)} rows were "
            "read or set aside); map the columns with --columns label=NAME, score=NAME or chosen=NAME,rejected=NAME"
        )
    scores = _scored(scorer, [Record(row.turns, text) for row in rows for text in row.responses])
    return {
        "set_aside": _aside(items),
        **evaluate_judged(rows, scores, objective),
        **_calibration_error(rows, scores, ranker, digest(file)),
    }


def _scored(scorer: Scorer, records: Sequence[Record]) -> NDArray[np.float32]:
    scores = scorer.score_records(records).scores
    if lost := int((~np.isfinite(scores)).sum()):
        raise RunError(
            f"{scorer.bundle.path}: {lost} of {len(records)} responses got no finite score: nothing to evaluate"
        )
    return scores


def _aside(items: Sequence[object]) -> int:
    return sum(isinstance(item, SetAside) for item in items)


def _calibration_error(
    rows: Sequence[Judged], scores: NDArray[np.float32], ranker: Mapping[str, Any], sha256: str
) -> dict[str, Any]:
    """Give the calibration error of the bundle's probability, where it has one and the rows say what they are.

    `fitted_here` says that the probability was fitted on this very file: the error after is then too small.
    """
    probability = Calibration.from_config(ranker.get("calibration")).probability
    wanted = _wanted(rows, ranker)
    known = ~np.isnan(wanted)
    if probability is None or not known.any():
        return {}
    found = {"ece_before": Temperature(1.0), "ece_after": probability}
    errors = {
        name: expected_calibration_error(how.apply(scores[known]), wanted[known])
        for name, how in found.items()
    }
    fitted_here = probability.facts.get("sha256") == sha256
    return {"calibration_error": {"rows": int(known.sum()), **errors, "fitted_here": fitted_here}}


def _wanted(rows: Sequence[Judged], ranker: Mapping[str, Any]) -> NDArray[np.float64]:
    """Give what a probability should say of each response, NaN where a row does not tell.

    That is the label; of a ranker taught by grades, the grade's place on its scale.
    """
    learned = ranker.get("objective") or {}
    if learned.get("kind") != "graded":
        told = [row.label for row in rows for _ in row.responses]
        return np.asarray([np.nan if value is None else value for value in told], dtype=np.float64)
    low, high = learned["scale"]
    told = [row.score for row in rows for _ in row.responses]
    share = np.asarray([np.nan if value is None else (value - low) / (high - low) for value in told])
    # A grade outside the scale is of another grader.
    return np.where((share >= 0) & (share <= 1), share, np.nan)

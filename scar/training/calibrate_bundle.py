"""Calibrate an exported bundle anew: on labelled rows, on a reference pool, or both. Scores by its graphs: no torch."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.bundle import EVALUATION, RANKER, Bundle, changing, trained_on
from scar.calibration import Calibration, Isotonic, Percentiles, Temperature
from scar.card import write_card
from scar.errors import InputError
from scar.evaluation import judgement_of, preferred
from scar.files import read_json, write_json
from scar.pools import Place, digest, find, read_judged, read_pool, recorded
from scar.records import Judged, Record, SetAside, instruction_key
from scar.serving.scorer import Scorer
from scar.settings import Reading, Scoring
from scar.training.calibrate import Method, errors_on, fit_percentiles, fit_probability, honest_errors, why
from scar.training.quality.objectives import Objective

log = logging.getLogger("scar")
FEWEST_ROWS = 10
"""Labelled rows, at least: a calibration of fewer is a guess."""
SEED = 0
"""Of the folds that the calibration error is measured by."""


@dataclass(frozen=True)
class CalibrationReport:
    """What a bundle's calibration is now; the facts of its parts say what they were fitted on."""

    bundle: Path
    calibration: Calibration
    fitted: tuple[str, ...]
    """The parts that are new: probability, percentile."""


def calibrate_bundle(
    bundle: Path,
    *,
    labels: Path | None = None,
    reference: Place | None = None,
    method: Method = "auto",
    reading: Reading | None = None,
    scoring: Scoring | None = None,
) -> CalibrationReport:
    """Fit probabilities on labelled rows, percentiles on a reference pool, and write them into ranker.json.

    What is not asked for stays as it is, the length trend always: both parts are fitted on scores from which it was
    taken off. The scores of the reference pool are kept, 4 bytes a record, and nothing else of it. Raises InputError
    where there is nothing to fit on; the bundle is then as it was.
    """
    if labels is None and reference is None:
        raise InputError(
            "nothing to calibrate on: give --labels FILE for probabilities, --reference POOL for percentiles, or both"
        )
    if labels is not None and not (find_spec("scipy") and find_spec("sklearn")):
        raise InputError(
            "--labels needs the train extra: pip install 'scar-rank[train]'; --reference does not"
        )
    reading, scoring = reading or Reading(), scoring or Scoring()
    scorer = Scorer.load(bundle, scoring)
    before, fitted = Calibration.from_config(scorer.bundle.ranker.get("calibration")), dict[str, Any]()
    if labels is not None:
        fitted["probability"] = _probability(scorer, labels, method, reading, old=before.probability)
    if reference is not None:
        fitted["percentile"] = _percentiles(scorer, reference, reading, scorer.scoring.chunk_rows)
    return CalibrationReport(bundle, _write(scorer.bundle, before, fitted), tuple(fitted))


def _write(bundle: Bundle, before: Calibration, fitted: dict[str, Any]) -> Calibration:
    """Put parts of a calibration into ranker.json and the card, beside those that others put there meanwhile."""
    with changing(bundle) as change:
        now = read_json(bundle.path / RANKER, "every bundle has one")
        found = Calibration.from_config(now.get("calibration"))
        if found.length != before.length:
            raise InputError(
                f"{bundle.path}: its length trend is another since this command began; run it again"
            )
        found = replace(found, **fitted)
        ranker = {**now, "calibration": found.to_config()}
        evaluation = read_json(bundle.path / EVALUATION, "restore it") if bundle.has(EVALUATION) else None
        write_json(change.folder / RANKER, ranker)
        write_card(change.folder, ranker, evaluation)
    return found


def _probability(
    scorer: Scorer,
    file: Path,
    method: Method,
    reading: Reading,
    *,
    old: Temperature | Isotonic | None,
) -> Temperature | Isotonic:
    rows, y, left_out = _labelled(file, reading, scorer.bundle.ranker)
    if len(rows) < FEWEST_ROWS:
        counts = ", ".join(f"{count} {name}" for name, count in left_out.items() if count) or "none left out"
        raise InputError(
            f"{file}: {len(rows)} rows with a judgement to calibrate on ({counts}); at least {FEWEST_ROWS} are needed, "
            "some hundreds are good; --columns label=NAME or score=NAME maps a column of another name"
        )
    scores = scorer.score_records([Record(row.turns, row.responses[0]) for row in rows]).scores
    groups = np.asarray([instruction_key(row) for row in rows], dtype=object)
    try:
        fitted = fit_probability(scores, y, method)
        errors = honest_errors(scores, y, groups, method=method, seed=SEED)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    hashed = digest(file)
    # On the rows that it was fitted on, the old one would look better than it is.
    if old is not None and old.facts.get("sha256") != hashed:
        errors["ece_replaced"] = errors_on(scores, y, old)["ece_after"]
    if trained_on(scorer.bundle.ranker, hashed):
        log.warning(
            "%s: the ranker was trained on this file, and is too sure of its rows: calibrate on others",
            file,
        )
    facts = {
        "fitted_on": file.name,
        "sha256": hashed,
        "why": why(y[np.isfinite(scores)], method),
        "left_out": left_out,
        "measured_on": "the same rows, cross-fitted by instruction",
    }
    return replace(fitted, facts={**fitted.facts, **facts, **errors})


def _labelled(
    file: Path, reading: Reading, ranker: Mapping[str, Any]
) -> tuple[list[Judged], NDArray[np.float32], dict[str, int]]:
    """Give the rows that can be fitted on, what they say, (rows,) in [0, 1], and how many others there are, by reason.

    Rows that are not to be trained on are not to be fitted on either.
    """
    items = list(read_judged(file, reading))
    judged = preferred([item for item in items if isinstance(item, Judged)], ranker)
    if paired := next((row for row in judged if row.paired), None):
        where = f"{paired.address.file}, line {paired.address.line}"
        raise InputError(
            f"{where}: a pair says which response is better, not how good one is; give rows of one response with a "
            "label of 0 or 1, or a score"
        )
    rows = [row for row in judged if not row.eval_only]
    objective = _objective(file, rows, ranker)
    targets = objective.targets(rows)
    assert targets.y is not None, "only pairs have no targets"
    left_out = {"set_aside": len(items) - len(judged), "eval_only": len(judged) - len(rows)}
    return targets.rows, targets.y, left_out | targets.left_out


def _objective(file: Path, rows: Sequence[Judged], ranker: Mapping[str, Any]) -> Objective:
    """Choose what the labels are: what the ranker learned from, where rows have that, else what they have."""
    learned = ranker.get("objective") or {}
    kind = judgement_of(rows, "graded" if learned.get("kind") == "graded" else "labels")
    if kind != "graded":
        return Objective("labels")
    if not (scale := learned.get("scale")):
        raise InputError(
            f"{file}: the rows have scores and no labels, and this ranker knows no scale of scores: give rows with a "
            "label of 0 or 1 (--columns label=NAME)"
        )
    return Objective("graded", (scale[0], scale[1]))


def _percentiles(scorer: Scorer, pool: Place, reading: Reading, window: int) -> Percentiles:
    aside: Counter[str] = Counter()
    records = _records(read_pool(pool, reading), aside)
    scores = list(_scores(scorer, records, window))
    if not scores:
        raise InputError(f"{pool}: no record to compare with ({aside.total()} were set aside)")
    fitted = fit_percentiles(np.concatenate(scores))
    facts = {"reference": _named(pool), "sha256": digest(pool), "set_aside": aside.total()}
    return replace(fitted, facts={**fitted.facts, **facts})


def _records(items: Iterable[Record | SetAside], aside: Counter[str]) -> Iterator[Record]:
    """Pass on the records, and count the others by reason."""
    for item in items:
        if isinstance(item, Record):
            yield item
        else:
            aside[str(item.reason)] += 1


def _scores(scorer: Scorer, records: Iterator[Record], window: int) -> Iterator[NDArray[np.float32]]:
    """Score records as they come, so many at a time: their texts are gone when the next are read."""
    while some := list(islice(records, window)):
        yield scorer.score_records(some).scores


def _named(pool: Place) -> str:
    """Name a pool: by its name alone where it stands on this machine, else as a plan would."""
    place = recorded(pool, find(pool))[0]
    return Path(place).name if Path(place).is_absolute() else place

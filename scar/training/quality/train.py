"""Train a quality classifier: judged rows in, calibrated bundle out."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scar.calibration import Calibration
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.evaluation import evaluate_judged
from scar.records import Judged
from scar.settings import QualitySettings, Reading
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.batches import ExampleData, batch_tokens
from scar.training.cross import CrossEncoder, build_cross
from scar.training.fit import Course, fingerprint, pair_encoder
from scar.training.held_out import HeldOut, calibrate, length_trend
from scar.training.quality.data import CrossExamples, pairs_of
from scar.training.quality.learning import METRICS, CrossObjective
from scar.training.quality.objectives import Objective, Targets, choose_objective
from scar.training.save import Trained, save_bundle
from scar.training.splits import Splits, read_judged_splits

FEWEST_LABELS = 2
"""Validation rows of each label, at least: an AUC of fewer chooses an epoch by chance."""


@dataclass(frozen=True)
class QualityReport:
    """What a training did."""

    out: Path
    rows: dict[str, int]
    objective: Objective
    steps: int
    epochs: int
    best_epoch: int | None
    """From 1; None where nothing was validated."""
    validation: float | None
    evaluation: dict[str, Any] | None
    """Of the test part."""
    calibration: Calibration
    first_process: bool = True
    """False in the other processes of a training on several devices, which write and tell nothing."""

    @property
    def metric(self) -> str:
        """Name of the validation figure."""
        return METRICS[self.objective.kind]


def train_quality(
    settings: QualitySettings,
    data: Path,
    out: Path,
    *,
    validation: Path | None = None,
    test: Path | None = None,
    reading: Reading | None = None,
    overwrite: bool = False,
) -> QualityReport:
    """Train on rows with labels, grades or preferences, and write the bundle `out`.

    A killed training goes on from its last finished epoch when it is called again with the same settings and data.
    """
    out = out.resolve()
    files = {"data": data, "validation": validation, "test": test}
    splits = read_judged_splits(
        data,
        validation,
        test,
        shares=(settings.validation_share, settings.test_share),
        seed=settings.seed,
        reading=reading or Reading(),
        wanted=settings.objective,
    )
    objective = choose_objective(
        splits.train, settings.objective, scale=settings.scale, margins=settings.margins
    )
    parts = [objective.targets(part) for part in (splits.train, splits.validation, splits.test)]
    _check_validation(objective, parts[1])
    course = Course.prepare(
        settings, out, METRICS[objective.kind], validated=bool(parts[1].rows), overwrite=overwrite
    )
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = pair_encoder(backbone, settings, "pair")
    ranker = build_cross(backbone, settings, "quality", settings.pooling)
    weight = objective.pos_weight if settings.balance else 1.0
    examples = [CrossExamples.of(part, encoder, settings) if part.rows else None for part in parts[:2]]
    assert examples[0] is not None, "an objective has rows"
    fitted = course.fit(
        CrossObjective(ranker, objective.kind, weight),
        ExampleData(examples[0], examples[1], settings),
        fingerprint(settings, files, backbone),
    )
    with torch.no_grad():
        # Weights teach as if both labels were as many: without this the scores would not be log odds of these rows.
        ranker.output.bias.sub_(math.log(weight))
    finished = _Finished(ranker, encoder, settings, objective, fitted.device)
    calibration = finished.calibrate(*parts)
    report = QualityReport(
        out=out,
        rows=splits.counts() | parts[0].left_out,
        objective=objective,
        steps=fitted.steps,
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        validation=fitted.validation,
        evaluation=finished.evaluate(parts[2], calibration),
        calibration=calibration,
        first_process=fitted.first_process,
    )
    if report.first_process:
        _save(report, finished, backbone, splits, files, overwrite=overwrite)
        course.done()
    return report


def _check_validation(objective: Objective, part: Targets) -> None:
    """Refuse a validation part of one label: no epoch can be chosen by it."""
    if objective.kind != "labels" or not part.rows or part.y is None:
        return
    good = int((part.y == 1).sum())
    if min(good, len(part.y) - good) < FEWEST_LABELS:
        raise InputError(
            f"the validation part has {good} good and {len(part.y) - good} bad rows: give more rows, or "
            "--validation, or set validation_share to 0 to take the last epoch as it is"
        )


@dataclass(frozen=True)
class _Finished:
    """A trained classifier, and what scores its held-out rows."""

    ranker: CrossEncoder
    encoder: PairEncoder
    settings: QualitySettings
    objective: Objective
    device: torch.device

    def held_out(self, part: Targets) -> HeldOut:
        """Score a part: every response of it."""
        pairs = pairs_of(part.rows)
        return HeldOut.of(self.ranker, self.encoder, pairs, part.y, batch_tokens(self.settings), self.device)

    def calibrate(self, train: Targets, validation: Targets, test: Targets) -> Calibration:
        """Fit the length trend on the training part, all else on the validation part; the test part measures it."""
        trend = length_trend(self.held_out(train)) if self.settings.control_length else None
        return calibrate(
            self.held_out(validation),
            self.held_out(test),
            length=trend,
            method=self.settings.calibration,
            probability=self.objective.kind != "pairs",
        )

    def evaluate(self, part: Targets, calibration: Calibration) -> dict[str, Any] | None:
        """Evaluate the scores of the test part, as the bundle will give them."""
        if not part.rows:
            return None
        scores = self.held_out(part).controlled(calibration.length).scores
        return evaluate_judged(part.rows, scores, self.objective.kind) | {"calibration": calibration.facts()}


def _save(
    report: QualityReport,
    finished: _Finished,
    backbone: Backbone,
    splits: Splits[Judged],
    files: dict[str, Path | None],
    *,
    overwrite: bool,
) -> None:
    objective = report.objective
    trained = Trained(
        ranker=finished.ranker.cpu(),
        backbone=backbone,
        encoder=finished.encoder,
        settings=finished.settings,
        rows=report.rows,
        steps=report.steps,
        files=files,
        gate_pairs=pairs_of(splits.validation or splits.test or splits.train),
        more={
            "objective": {
                "kind": objective.kind,
                "scale": None if objective.scale is None else list(objective.scale),
                "margins": objective.margins,
                "pos_weight": objective.pos_weight if finished.settings.balance else 1.0,
            }
        },
        calibration=report.calibration.to_config() or None,
    )
    save_bundle(report.out, trained, report.evaluation, overwrite=overwrite)

"""Train a quality classifier: judged rows in, calibrated bundle out."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
from scar.training.batches import batch_tokens
from scar.training.cross import CrossEncoder, build_cross
from scar.training.fit import Course, Fitted, fingerprint, pair_encoder
from scar.training.held_out import HeldOut, calibrate, length_trend
from scar.training.quality.data import pairs_of
from scar.training.quality.learning import METRICS, CrossObjective
from scar.training.quality.objectives import Objective, Targets, choose_objective
from scar.training.quality.parts import Parts
from scar.training.save import Trained, save_bundle
from scar.training.splits import Splits, read_judged_splits, shared_instructions


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
    files: dict[str, Path | None] = {"data": data, "validation": validation, "test": test}
    reading = reading or Reading()
    splits = _read(settings, files, reading)
    objective = choose_objective(
        splits.train,
        settings.objective,
        scale=settings.scale,
        margins=settings.margins,
        balance=settings.balance,
    )
    _check_calibration(settings, objective)
    parts = Parts.of(splits, objective)
    course = Course.prepare(
        settings, out, METRICS[objective.kind], validated=bool(parts.validation.rows), overwrite=overwrite
    )
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = pair_encoder(backbone, settings, "pair")
    ranker = build_cross(backbone, settings, "quality", settings.pooling)
    fitted = course.fit(
        CrossObjective(ranker, objective.kind, objective.pos_weight),
        parts.batched(encoder, settings),
        {**fingerprint(settings, files, backbone), "reading": asdict(reading)},
    )
    with torch.no_grad():
        # Weights teach as if both labels were as many: without this the scores would not be log odds of these rows.
        ranker.output.bias.sub_(math.log(objective.pos_weight))
    finished = _Finished(ranker, encoder, settings, objective, fitted.device)
    report = finished.report(parts, splits, fitted, out)
    if report.first_process:
        _save(report, finished, backbone, splits, files, overwrite=overwrite)
        course.done()
    return report


def _read(settings: QualitySettings, files: Mapping[str, Path | None], reading: Reading) -> Splits[Judged]:
    data = files["data"]
    assert data is not None, "there is always something to learn from"
    return read_judged_splits(
        data,
        files["validation"],
        files["test"],
        shares=(settings.validation_share, settings.test_share),
        seed=settings.seed,
        reading=reading,
        wanted=settings.objective,
    )


def _check_calibration(settings: QualitySettings, objective: Objective) -> None:
    if objective.kind == "pairs" and settings.calibration in ("temperature", "isotonic"):
        raise InputError(
            f"calibration {settings.calibration}: pairs do not say how good a response is, so nothing becomes a "
            "probability; leave calibration at auto, which gives percentiles"
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

    def report(self, parts: Parts, splits: Splits[Judged], fitted: Fitted, out: Path) -> QualityReport:
        """Calibrate and evaluate, and say what the training did."""
        calibration = self.calibrate(parts)
        return QualityReport(
            out=out,
            rows=splits.counts() | parts.counts(),
            objective=self.objective,
            steps=fitted.steps,
            epochs=fitted.epochs,
            best_epoch=fitted.best_epoch,
            validation=fitted.validation,
            evaluation=self.evaluate(parts.test, calibration),
            calibration=calibration,
            first_process=fitted.first_process,
        )

    def calibrate(self, parts: Parts) -> Calibration:
        """Fit the length trend on the training part, all else on the validation part; the test part measures it.

        Where the files of both share instructions, the error on the test part would be that of fitted rows.
        """
        trend = length_trend(self.held_out(parts.train)) if self.settings.control_length else None
        apart = not shared_instructions(parts.validation.rows, parts.test.rows)
        return calibrate(
            self.held_out(parts.validation),
            self.held_out(parts.test) if apart else None,
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
                "pos_weight": objective.pos_weight,
            }
        },
        calibration=report.calibration.to_config() or None,
    )
    save_bundle(report.out, trained, report.evaluation, overwrite=overwrite)

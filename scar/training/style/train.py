"""Train a style ranker: tiers file in, bundle out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from scar.calibration import Calibration
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.evaluation import evaluate
from scar.records import Tiers
from scar.settings import Reading, StyleSettings
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.batches import ExampleData, batch_tokens
from scar.training.engine import torch_model
from scar.training.fit import Course, fingerprint, pair_encoder
from scar.training.held_out import HeldOut, calibrate
from scar.training.save import Trained, save_bundle
from scar.training.splits import Splits, read_splits
from scar.training.style.constraints import check_tiers, describe, resolve_mode
from scar.training.style.data import Groups, teaching_rows
from scar.training.style.model import StyleRanker
from scar.training.style.objective import StyleObjective


@dataclass(frozen=True)
class StyleReport:
    """What a training did."""

    out: Path
    rows: dict[str, int]
    pairs: dict[str, int]
    """Teaching pairs of the training part, by tier pair."""
    constraint: str
    steps: int
    epochs: int
    best_epoch: int | None
    """From 1; None where nothing was validated."""
    validation: float | None
    evaluation: dict[str, Any] | None
    """Of the test part."""
    calibration: Calibration
    """Percentiles of the validation part, else of the test part."""
    first_process: bool = True
    """False in the other processes of a training on several devices, which write and tell nothing."""


def train_style(
    settings: StyleSettings,
    data: Path,
    out: Path,
    *,
    validation: Path | None = None,
    test: Path | None = None,
    reading: Reading | None = None,
    overwrite: bool = False,
) -> StyleReport:
    """Train on a tiers file and write the bundle `out`.

    A killed training goes on from its last finished epoch when it is called again with the same settings and data;
    on a CPU it ends with the weights of an uninterrupted one, bit by bit.
    """
    out = out.resolve()
    validated = bool(validation or settings.validation_share)
    course = Course.prepare(settings, out, StyleObjective.metric, validated=validated, overwrite=overwrite)
    files = {"data": data, "validation": validation, "test": test}
    reading = replace(reading or Reading(), format="tiers")
    splits = read_splits(
        data,
        validation,
        test,
        shares=(settings.validation_share, settings.test_share),
        seed=settings.seed,
        reading=reading,
    )
    check_tiers([*splits.train, *splits.validation, *splits.test], settings.tiers)
    mode = resolve_mode(splits.train, settings)
    rows, teaching = teaching_rows(splits.train, mode, settings)
    if not rows:
        raise InputError(f"{data}: no pair of tiers passes the constraint {mode!r}: nothing to train on")
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = pair_encoder(backbone, settings, "each")
    ranker = build(backbone, settings)
    examples = ExampleData(
        Groups.of(rows, teaching, encoder, settings), _groups(splits.validation, encoder, settings), settings
    )
    fitted = course.fit(
        StyleObjective(ranker, settings),
        examples,
        {**fingerprint(settings, files, backbone), "reading": asdict(reading)},
    )
    report = StyleReport(
        out=out,
        rows=splits.counts() | {"not_teaching": len(splits.train) - len(rows)},
        pairs=describe(teaching, settings),
        constraint=mode,
        steps=fitted.steps,
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        validation=fitted.validation,
        evaluation=_evaluate(ranker, splits, encoder, settings, fitted.device),
        calibration=_calibrate(ranker, splits, encoder, settings, fitted.device),
        first_process=fitted.first_process,
    )
    if report.first_process:
        made = Trained(
            ranker=ranker.cpu(),
            backbone=backbone,
            encoder=encoder,
            settings=settings,
            rows=splits.counts(),
            steps=fitted.steps,
            files=files,
            gate_pairs=_pairs(splits.validation or splits.test or splits.train),
            more={"tiers": list(settings.tiers)},
            calibration=report.calibration.to_config() or None,
        )
        save_bundle(out, made, report.evaluation, overwrite=overwrite)
        course.done()
    return report


def build(backbone: Backbone, settings: StyleSettings) -> StyleRanker:
    """Put heads with seeded weights on an encoder."""
    pooling = settings.pooling
    if pooling == "auto":
        pooling = "pooler" if backbone.trained_pooler else "first_token"
    if pooling == "pooler" and not backbone.trained_pooler:
        raise InputError(f"pooling: the encoder {settings.encoder} has no trained pooler; use first_token")
    torch.manual_seed(settings.seed)
    ranker = StyleRanker(backbone.model, backbone.hidden, settings.head_width, pooling)
    backbones.freeze(ranker.encoder, settings.freeze_layers)
    # transformers loads in evaluation mode, and Lightning leaves modes alone: dropout would never run.
    return ranker.train()


def _pairs(rows: Sequence[Tiers]) -> list[tuple[Any, str]]:
    return [(row.turns, text) for row in rows for text in row.responses.values()]


def _groups(rows: Sequence[Tiers], encoder: PairEncoder, settings: StyleSettings) -> Groups | None:
    return Groups.of(rows, [set() for _ in rows], encoder, settings) if rows else None


def _evaluate(
    ranker: StyleRanker,
    splits: Splits[Tiers],
    encoder: PairEncoder,
    settings: StyleSettings,
    device: torch.device,
) -> dict[str, Any] | None:
    if not splits.test:
        return None
    model = torch_model(ranker, encoder.settings.pad_id, batch_tokens(settings), device)
    return evaluate(splits.test, settings.tiers, model.score(encoder.encode(_pairs(splits.test))))


def _calibrate(
    ranker: StyleRanker,
    splits: Splits[Tiers],
    encoder: PairEncoder,
    settings: StyleSettings,
    device: torch.device,
) -> Calibration:
    """Keep the scores of all held-out responses: what another response's percentile is told by."""
    part, name = (splits.validation, "validation part") if splits.validation else (splits.test, "test part")
    held_out = HeldOut.of(ranker, encoder, _pairs(part), None, batch_tokens(settings), device)
    return calibrate(held_out, name=name)

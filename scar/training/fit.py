"""Train a style ranker: wire data, ranker and Trainer, resume what was killed, save the best as a bundle."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from scar.bundle import refuse_foreign
from scar.encoding import PairEncoder, TextEncoder, TextSettings
from scar.errors import InputError
from scar.evaluation import evaluate
from scar.files import refuse_existing
from scar.pools import digest
from scar.records import Tiers
from scar.settings import Reading, StyleSettings
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.constraints import check_tiers, describe, resolve_mode
from scar.training.data import Groups, StyleData, batch_tokens, teaching_rows
from scar.training.engine import torch_towers
from scar.training.learner import StyleLearner
from scar.training.save import Trained, save_bundle
from scar.training.splits import Splits, read_splits
from scar.training.state import BEST, KeepBest, clear_state, folder_for, open_state
from scar.training.style import StyleRanker
from scar.training.trainer import make_trainer

log = logging.getLogger("scar")


@dataclass(frozen=True)
class TrainReport:
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
) -> TrainReport:
    """Train on a tiers file and write the bundle `out`.

    A killed training goes on from its last finished epoch when it is called again with the same settings and data;
    on a CPU it ends with the weights of an uninterrupted one, bit by bit.
    """
    out = out.resolve()
    refuse_existing(out, overwrite=overwrite)
    refuse_foreign(out)
    files = {"data": data, "validation": validation, "test": test}
    best = KeepBest(folder_for(out))
    trainer = make_trainer(
        settings, best.folder, best, validated=bool(validation or settings.validation_share)
    )
    splits = read_splits(
        data,
        validation,
        test,
        shares=(settings.validation_share, settings.test_share),
        seed=settings.seed,
        reading=replace(reading or Reading(), format="tiers"),
    )
    check_tiers([*splits.train, *splits.validation, *splits.test], settings.tiers)
    mode = resolve_mode(splits.train, settings)
    rows, teaching = teaching_rows(splits.train, mode, settings)
    if not rows:
        raise InputError(f"{data}: no pair of tiers passes the constraint {mode!r}: nothing to train on")
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = pair_encoder(backbone, settings)
    ranker = build(backbone, settings)
    groups = StyleData(
        Groups.of(rows, teaching, encoder, settings), _groups(splits.validation, encoder, settings), settings
    )
    resume = open_state(best.folder, _fingerprint(settings, files, backbone), overwrite=overwrite)
    if resume:
        log.info("going on from the last finished epoch: %s", resume)
    trainer.fit(StyleLearner(ranker, settings), groups, ckpt_path=resume, weights_only=True)
    if best.best is not None:
        ranker.load_state_dict(load_file(best.folder / BEST))
    trainer.strategy.barrier()
    report = TrainReport(
        out=out,
        rows=splits.counts() | {"not_teaching": len(splits.train) - len(rows)},
        pairs=describe(teaching, settings),
        constraint=mode,
        steps=trainer.global_step,
        epochs=trainer.current_epoch,
        best_epoch=None if best.epoch is None else best.epoch + 1,
        validation=best.best,
        evaluation=_evaluate(ranker, splits, encoder, settings, trainer.strategy.root_device),
        first_process=trainer.is_global_zero,
    )
    if report.first_process:
        made = Trained(ranker.cpu(), backbone, encoder, settings, splits, report.steps, files)
        save_bundle(out, made, report.evaluation, overwrite=overwrite)
        clear_state(best.folder)
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


def pair_encoder(backbone: Backbone, settings: StyleSettings) -> PairEncoder:
    """Make the text path of a ranker out of its encoder's tokenizer; InputError where the encoder takes less."""
    limit = backbones.positions(backbone.model)
    if limit is not None and settings.max_tokens > limit:
        raise InputError(
            f"max_tokens: the encoder {settings.encoder} takes at most {limit}, got {settings.max_tokens}"
        )
    tokenizer = Tokenizer.from_str(backbone.tokenizer.backend_tokenizer.to_str())
    text = TextEncoder(tokenizer, backbone.pad_id)
    return PairEncoder(text, TextSettings(backbone.pad_id, settings.max_tokens))


def _groups(rows: Sequence[Tiers], encoder: PairEncoder, settings: StyleSettings) -> Groups | None:
    return Groups.of(rows, [set() for _ in rows], encoder, settings) if rows else None


def _evaluate(
    ranker: StyleRanker, splits: Splits, encoder: PairEncoder, settings: StyleSettings, device: torch.device
) -> dict[str, Any] | None:
    if not splits.test:
        return None
    model = torch_towers(ranker, encoder.settings.pad_id, batch_tokens(settings), device)
    pairs = encoder.encode((row.turns, text) for row in splits.test for text in row.responses.values())
    return evaluate(splits.test, settings.tiers, model.score(pairs))


def _fingerprint(
    settings: StyleSettings, files: Mapping[str, Path | None], backbone: Backbone
) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items()
    }
    if values["triplets"] is not None:
        values["triplets"] = {name: list(roles) for name, roles in values["triplets"].items()}
    digests = {name: digest(path) if path else None for name, path in files.items()}
    return {
        "settings": values,
        "files": digests,
        "encoder": backbone.found.revision,
        "torch": torch.__version__,
    }

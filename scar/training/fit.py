"""Train a style ranker: wire data, ranker and Trainer, resume what was killed, save the best as a bundle."""

import inspect
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch import loggers
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from safetensors.torch import load_file
from tokenizers import Tokenizer

from scar.encoding import PairEncoder, TextEncoder, TextSettings
from scar.errors import InputError
from scar.evaluation import evaluate
from scar.files import refuse_existing, sha256
from scar.records import Tiers
from scar.settings import Reading, StyleSettings
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.constraints import check_tiers, describe, resolve_mode
from scar.training.data import Groups, StyleData, batch_tokens, teaching_rows
from scar.training.engine import torch_towers
from scar.training.learner import METRIC, StyleLearner
from scar.training.save import Trained, save_bundle
from scar.training.splits import Splits, read_splits
from scar.training.state import BEST, LAST, KeepBest, clear_state, folder_for, open_state
from scar.training.style import StyleRanker

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


def train_style(
    settings: StyleSettings,
    data: Path,
    out: Path,
    *,
    validation: Path | None = None,
    test: Path | None = None,
    overwrite: bool = False,
) -> TrainReport:
    """Train on a tiers file and write the bundle `out`.

    A killed training goes on from its last finished epoch when it is called again with the same settings and data;
    on a CPU it ends with the weights of an uninterrupted one, bit by bit.
    """
    refuse_existing(out, overwrite=overwrite)
    arguments, logger = _trainer_arguments(settings.trainer), _loggers(settings, folder_for(out))
    splits = read_splits(
        data,
        validation,
        test,
        shares=(settings.validation_share, settings.test_share),
        seed=settings.seed,
        reading=Reading(format="tiers"),
    )
    check_tiers([*splits.train, *splits.validation, *splits.test], settings.tiers)
    mode = resolve_mode(splits.train, settings)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = _pair_encoder(backbone, settings)
    rows, teaching = teaching_rows(splits.train, mode, settings)
    if not rows:
        raise InputError(f"{data}: no pair of tiers passes the constraint {mode!r}: nothing to train on")
    ranker = build(backbone, settings)
    groups = Groups.of(rows, teaching, encoder, settings)
    held_out = _groups(splits.validation, encoder, settings)
    files = {"data": data, "validation": validation, "test": test}
    work, resume = folder_for(out), None
    resume = open_state(work, _fingerprint(settings, files, backbone), overwrite=overwrite)
    best = KeepBest(work)
    trainer = _trainer(settings, work, best, arguments, logger, validated=held_out is not None)
    learner = StyleLearner(ranker, settings)
    if resume:
        log.info("going on from the last finished epoch: %s", resume)
    trainer.fit(learner, StyleData(groups, held_out, settings), ckpt_path=resume, weights_only=True)
    if best.best is not None:
        ranker.load_state_dict(load_file(work / BEST))
    report = TrainReport(
        out,
        splits.counts(),
        describe(teaching, settings),
        mode,
        trainer.global_step,
        trainer.current_epoch,
        None if best.epoch is None else best.epoch + 1,
        best.best,
        _evaluate(ranker, splits, encoder, settings, trainer.strategy.root_device),
    )
    if trainer.is_global_zero:
        save_bundle(
            out,
            Trained(ranker.cpu(), backbone, encoder, settings, splits, report.steps, files),
            report.evaluation,
            overwrite=overwrite,
        )
        clear_state(work)
    return report


def build(backbone: Backbone, settings: StyleSettings) -> StyleRanker:
    """Put heads with seeded weights on an encoder."""
    pooling = settings.pooling
    if pooling == "auto":
        pooling = "pooler" if backbone.trained_pooler else "first_token"
    if pooling == "pooler" and getattr(backbone.model, "pooler", None) is None:
        raise InputError(f"pooling: the encoder {settings.encoder} has no pooler; use first_token")
    torch.manual_seed(settings.seed)
    ranker = StyleRanker(backbone.model, backbone.hidden, settings.head_width, pooling)
    backbones.freeze(ranker.encoder, settings.freeze_layers)
    # transformers loads in evaluation mode, and Lightning leaves modes alone: dropout would never run.
    return ranker.train()


def _pair_encoder(backbone: Backbone, settings: StyleSettings) -> PairEncoder:
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
    digests = {name: sha256(path) if path else None for name, path in files.items()}
    return {
        "settings": values,
        "files": digests,
        "encoder": backbone.found.revision,
        "torch": torch.__version__,
    }


def _trainer_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    known = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self", "callbacks", "logger"}
    if unknown := sorted(set(given) - known):
        raise InputError(f"trainer: Lightning's Trainer has no argument {unknown[0]!r} that a recipe may set")
    return dict(given)


def _loggers(settings: StyleSettings, folder: Path) -> list[Any]:
    """Make the recipe's loggers: classes of lightning.pytorch.loggers by name, nothing else."""
    made = []
    for name, arguments in settings.logger.items():
        kind = getattr(loggers, name, None)
        if not (inspect.isclass(kind) and issubclass(kind, loggers.Logger)):
            raise InputError(f"logger: lightning.pytorch.loggers has no logger {name!r}")
        if name in ("CSVLogger", "TensorBoardLogger"):
            arguments = {"save_dir": str(folder), "name": "logs", **arguments}
        try:
            made.append(kind(**arguments))
        except (TypeError, ModuleNotFoundError) as error:
            raise InputError(f"logger: {name}: {error}") from None
    return made


def _trainer(
    settings: StyleSettings,
    work: Path,
    best: KeepBest,
    arguments: dict[str, Any],
    logger: list[Any],
    *,
    validated: bool,
) -> pl.Trainer:
    last = ModelCheckpoint(
        dirpath=work, filename=Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [last]
    if validated:
        callbacks.append(best)
        if settings.patience:
            callbacks.append(
                EarlyStopping(METRIC, mode="max", patience=settings.patience, check_on_train_epoch_end=False)
            )
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar())
    defaults: dict[str, Any] = {
        "max_epochs": settings.epochs,
        "accumulate_grad_batches": settings.accumulate,
        "gradient_clip_val": settings.clip,
        "precision": "bf16-mixed"
        if torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        else "32-true",
        "deterministic": "warn",
        "default_root_dir": work,
        "enable_progress_bar": sys.stderr.isatty(),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "use_distributed_sampler": False,
    }
    return pl.Trainer(**(defaults | arguments), callbacks=callbacks, logger=logger or False)

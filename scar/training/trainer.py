"""Lightning's Trainer from a recipe: its arguments, loggers and callbacks. Knows no data."""

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import loggers
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar

from scar.errors import InputError
from scar.settings import TrainSettings
from scar.training.batches import on_gpu
from scar.training.state import LAST, KeepBest, StopEarly

OURS = {"self", "callbacks", "logger", "enable_checkpointing"}
"""Arguments of the Trainer that are not a recipe's to set."""
NOT_OURS = ("fsdp", "deepspeed", "spawn", "fork", "notebook")
"""Strategies that cut the weights up, or whose processes do not come back with them."""


def make_trainer(settings: TrainSettings, work: Path, best: KeepBest, *, validated: bool) -> pl.Trainer:
    """Make the Trainer; InputError names the argument or logger that does not do."""
    callbacks: list[Callback] = [
        ModelCheckpoint(
            dirpath=work, filename=Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False
        )
    ]
    if validated:
        callbacks.append(best)
        if settings.patience:
            callbacks.append(StopEarly(best.metric, settings.patience))
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar())
    arguments = _defaults(settings, work) | _given(settings.trainer)
    try:
        return pl.Trainer(**arguments, callbacks=callbacks, logger=_loggers(settings, work) or False)
    except (MisconfigurationException, TypeError, ValueError, ImportError) as error:
        raise InputError(f"trainer: {error}") from None


def _defaults(settings: TrainSettings, work: Path) -> dict[str, Any]:
    bf16 = on_gpu(settings) and torch.cuda.is_bf16_supported(including_emulation=False)
    return {
        "max_epochs": settings.epochs,
        "accumulate_grad_batches": settings.accumulate,
        "gradient_clip_val": settings.clip,
        "precision": "bf16-mixed" if bf16 else "32-true",
        # On a machine of eight GPUs, eight processes would train another ranker than one: they must be asked for.
        "devices": 1,
        "deterministic": "warn",
        "default_root_dir": work,
        "enable_progress_bar": sys.stderr.isatty(),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "use_distributed_sampler": False,
    }


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    known = set(inspect.signature(pl.Trainer.__init__).parameters) - OURS
    if unknown := sorted(set(arguments) - known):
        raise InputError(f"trainer: Lightning's Trainer has no argument {unknown[0]!r} that a recipe may set")
    strategy = str(arguments.get("strategy", "auto"))
    if any(word in strategy for word in NOT_OURS):
        raise InputError(f"trainer: strategy {strategy!r} is not supported; use auto or ddp")
    return dict(arguments)


def _loggers(settings: TrainSettings, work: Path) -> list[Any]:
    """Make the recipe's loggers: classes of lightning.pytorch.loggers by name, nothing else."""
    made = []
    for name, arguments in settings.logger.items():
        kind = getattr(loggers, name, None)
        if not (inspect.isclass(kind) and issubclass(kind, loggers.Logger)):
            raise InputError(f"logger: lightning.pytorch.loggers has no logger {name!r}")
        if name in ("CSVLogger", "TensorBoardLogger"):
            arguments = {"save_dir": str(work), "name": "logs", **arguments}
        try:
            made.append(kind(**arguments))
        except (TypeError, ValueError, ModuleNotFoundError) as error:
            raise InputError(f"logger: {name}: {error}") from None
    return made

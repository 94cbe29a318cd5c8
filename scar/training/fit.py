"""Run a training: Trainer, resume of what was killed, the weights of the best epoch. Knows no kind of ranker."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from scar.bundle import refuse_foreign
from scar.encoding import Cut, Inputs, PairEncoder, TextEncoder, TextSettings
from scar.errors import InputError
from scar.files import refuse_existing
from scar.pools import digest
from scar.settings import TrainSettings
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.batches import ExampleData
from scar.training.checkpoints import check_state
from scar.training.learner import Learner, Objective
from scar.training.state import BEST, KeepBest, clear_state, folder_for, open_state
from scar.training.trainer import make_trainer

log = logging.getLogger("scar")


@dataclass(frozen=True)
class Fitted:
    """What the Trainer did; the ranker holds the weights of the best epoch."""

    steps: int
    epochs: int
    best_epoch: int | None
    """From 1; None where nothing was validated."""
    validation: float | None
    device: torch.device
    first_process: bool
    """False in the other processes of a training on several devices, which write and tell nothing."""


@dataclass(frozen=True)
class Course:
    """A training that is about to begin: where it goes and what runs it."""

    out: Path
    settings: TrainSettings
    trainer: pl.Trainer
    best: KeepBest
    overwrite: bool

    @classmethod
    def prepare(
        cls, settings: TrainSettings, out: Path, metric: str, *, validated: bool, overwrite: bool
    ) -> "Course":
        """Check where the bundle goes and make the Trainer, before anything long is done."""
        refuse_existing(out, overwrite=overwrite)
        refuse_foreign(out)
        if settings.patience and not validated:
            raise InputError(
                f"patience {settings.patience}: no rows are held out to see whether an epoch is better; "
                "set validation_share or give --validation"
            )
        best = KeepBest(folder_for(out), metric)
        trainer = make_trainer(settings, best.folder, best, validated=validated)
        return cls(out, settings, trainer, best, overwrite)

    def fit(self, objective: Objective, data: ExampleData, fingerprint: Mapping[str, Any]) -> Fitted:
        """Train; goes on from the last finished epoch where the same training was begun before."""
        resume = open_state(self.best.folder, fingerprint, overwrite=self.overwrite)
        if resume:
            check_state(resume)
            log.info("going on from the last finished epoch: %s", resume)
        self.trainer.fit(Learner(objective, self.settings), data, ckpt_path=resume, weights_only=True)
        if self.best.best is not None:
            objective.ranker.load_state_dict(load_file(self.best.folder / BEST))
        self._refuse_diverged(objective)
        self.trainer.strategy.barrier()
        return Fitted(
            steps=self.trainer.global_step,
            epochs=self.trainer.current_epoch,
            best_epoch=None if self.best.epoch is None else self.best.epoch + 1,
            validation=self.best.best,
            device=self.trainer.strategy.root_device,
            first_process=self.trainer.is_global_zero,
        )

    def _refuse_diverged(self, objective: Objective) -> None:
        """Raise InputError where a weight is not finite: the ranker's scores would be none."""
        weights = objective.ranker.state_dict().items()
        if lost := [name for name, tensor in weights if not tensor.isfinite().all()]:
            raise InputError(
                f"the training diverged: {len(lost)} weights are not finite, such as {lost[0]}; set a lower lr than "
                f"{self.settings.lr:g}, or a longer warmup, and start anew with --overwrite"
            )

    def done(self) -> None:
        """Remove what only an unfinished training needs."""
        clear_state(self.best.folder)


def pair_encoder(backbone: Backbone, settings: TrainSettings, inputs: Inputs) -> PairEncoder:
    """Make the text path of a ranker out of its encoder's tokenizer; InputError where the encoder takes less."""
    limit = backbones.positions(backbone.model)
    if limit is not None and settings.max_tokens > limit:
        raise InputError(
            f"max_tokens: the encoder {settings.encoder} takes at most {limit}, got {settings.max_tokens}"
        )
    tokenizer = Tokenizer.from_str(backbone.tokenizer.backend_tokenizer.to_str())
    text = TextEncoder(tokenizer, backbone.pad_id)
    return PairEncoder(text, text_settings(backbone, settings, inputs))


def text_settings(backbone: Backbone, settings: TrainSettings, inputs: Inputs) -> TextSettings:
    """Give what ranker.json says of text."""
    types = inputs == "pair" and backbone.token_types
    if settings.truncate == "auto":
        return TextSettings(backbone.pad_id, settings.max_tokens, inputs=inputs, token_types=types)
    cut: Cut = settings.truncate
    return TextSettings(
        backbone.pad_id,
        settings.max_tokens,
        instruction=cut,
        dialogue=cut,
        response=cut,
        inputs=inputs,
        token_types=types,
    )


def fingerprint(
    settings: TrainSettings, files: Mapping[str, Path | None], backbone: Backbone
) -> dict[str, Any]:
    """Give all that a training's weights depend on."""
    return {
        "settings": _plain(asdict(settings)),
        "files": {name: digest(path) if path else None for name, path in files.items()},
        "encoder": backbone.found.revision,
        "torch": torch.__version__,
    }


def _plain(value: Any) -> Any:
    """Give settings as JSON gives them back."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value

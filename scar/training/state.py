"""What a training leaves on disk until its bundle is whole: the last finished epoch and the best weights."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping
from safetensors.torch import save

from scar.errors import InputError
from scar.files import atomic, read_json, write_json
from scar.serving.plan import differing
from scar.training.learner import Learner

STATE, LAST, BEST = "state.json", "last.ckpt", "best.safetensors"


def folder_for(out: Path) -> Path:
    """Give the folder of a training, beside its bundle."""
    return out.with_name(out.name + ".training")


def open_state(folder: Path, fingerprint: Mapping[str, Any], *, overwrite: bool) -> Path | None:
    """Make the folder ready; gives the checkpoint to go on from, where this training was begun before.

    Raises InputError where the folder holds another training.
    """
    if (folder / STATE).is_file() and not overwrite:
        old = read_json(folder / STATE, "remove the folder to train anew")
        if field := differing(old, fingerprint):
            raise InputError(
                f"{folder} holds another unfinished training: {field} differs; --overwrite starts anew"
            )
        return folder / LAST if (folder / LAST).is_file() else None
    if folder.exists() and not overwrite and any(folder.iterdir()) and not (folder / "logs").is_dir():
        raise InputError(f"{folder} is not empty and not a training of ours; move it away")
    clear_state(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STATE, fingerprint)
    return None


def clear_state(folder: Path) -> None:
    """Remove what only an unfinished training needs; the logs stay."""
    for name in (STATE, LAST, BEST):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        shutil.rmtree(folder)


class StopEarly(EarlyStopping):
    """Early stopping that a resumed training does not forget: one that had stopped stays stopped."""

    def __init__(self, metric: str, patience: int) -> None:
        """Stop after `patience` epochs without a better validation figure."""
        super().__init__(metric, mode="max", patience=patience, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop at once where the state that was taken up says so."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class KeepBest(pl.Callback):
    """Write the weights of the epoch with the best validation figure; the earlier wins a tie, NaN is never best."""

    def __init__(self, folder: Path, metric: str) -> None:
        """Weights go to `folder`; `metric` is the figure, higher is better."""
        self.folder, self.metric = folder, metric
        self.best: float | None = None
        self.epoch: int | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights where they are better than all before."""
        assert isinstance(pl_module, Learner)
        score = float(trainer.callback_metrics[self.metric])
        if math.isnan(score) or (self.best is not None and score <= self.best):
            return
        self.best, self.epoch = score, trainer.current_epoch
        if trainer.is_global_zero:
            weights = {name: tensor.contiguous() for name, tensor in pl_module.ranker.state_dict().items()}
            with atomic(self.folder / BEST) as stream:
                stream.write(save(weights))

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed training must know."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.best, self.epoch = state_dict["best"], state_dict["epoch"]

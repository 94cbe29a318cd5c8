"""The LightningModule of every training: steps, optimiser, schedule, clock. What is learned, an objective says."""

import time
from typing import Any, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

from scar.settings import TrainSettings


class Objective(Protocol):
    """What a kind of ranker learns from a batch, and how it is validated."""

    @property
    def ranker(self) -> nn.Module:
        """What learns."""
        ...

    @property
    def metric(self) -> str:
        """Name of the validation figure; higher is better."""
        ...

    def size(self, batch: Any) -> int:
        """Count the examples of a batch."""
        ...

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Give `loss`, and the parts of it that are worth a line in the log."""
        ...

    def validate(self, batch: Any) -> Tensor:
        """Give what a batch contributes to the figure, (n, ...): one row an example, or a comparison."""
        ...

    def figure(self, rows: Tensor) -> float:
        """Make the figure of all contributions."""
        ...


class Learner(pl.LightningModule):
    """Teaches a ranker an objective."""

    def __init__(self, objective: Objective, settings: TrainSettings) -> None:
        """Take what is learned and how."""
        super().__init__()
        self.ranker = objective.ranker
        self.objective = objective
        self.settings = settings
        # Every process validates all examples: a share each would leave some with more batches than others.
        self._seen: list[Tensor] = []

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout by epoch and batch: a resumed run then draws what an uninterrupted one draws.

        Once an epoch is not enough: making a loader's iterator draws too, and at a resume it is made earlier.
        """
        seed = np.random.SeedSequence([self.settings.seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def on_train_epoch_start(self) -> None:
        """Start the clock of the epoch."""
        self._began, self._spent = time.perf_counter(), 0.0

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time that training took so far; validation, which follows, does not count."""
        self._spent = time.perf_counter() - self._began

    def on_train_epoch_end(self) -> None:
        """Log the seconds of the epoch."""
        self.log("epoch_seconds", self._spent)

    def training_step(self, batch: Any, _: int) -> Tensor:
        """Give the loss, and log it with its parts."""
        losses, size = self.objective.losses(batch), self.objective.size(batch)
        for name, value in losses.items():
            self.log(name, value.detach(), prog_bar=name == "loss", batch_size=size)
        return losses["loss"]

    def validation_step(self, batch: Any, _: int) -> None:
        """Keep what the batch contributes."""
        self._seen.append(self.objective.validate(batch))

    def on_validation_epoch_end(self) -> None:
        """Log the figure by which the epoch is chosen."""
        self.log(self.objective.metric, self.objective.figure(torch.cat(self._seen)), prog_bar=True)
        self._seen = []

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the rate rises linearly, then falls linearly to zero over the steps there will be."""
        # Under mixed precision Lightning clips gradients itself, which a fused optimiser does not allow.
        fused = "mixed" not in str(self.trainer.precision)
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            learning, lr=self.settings.lr, weight_decay=self.settings.weight_decay, fused=fused
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = int(self.settings.warmup * steps)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, steps)  # type: ignore[no-untyped-call]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

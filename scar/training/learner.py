"""The LightningModule of a style ranker: step, loss, optimiser, schedule. Reads no files."""

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MeanMetric
from transformers import get_linear_schedule_with_warmup

from scar.settings import StyleSettings
from scar.training.constraints import tier_pairs
from scar.training.data import StyleBatch
from scar.training.losses import hinge, triplet
from scar.training.style import StyleRanker

METRIC = "ordering_accuracy"


class StyleLearner(pl.LightningModule):
    """Teaches a StyleRanker to order tiers."""

    def __init__(self, ranker: StyleRanker, settings: StyleSettings) -> None:
        """Take the ranker and how to train it."""
        super().__init__()
        self.ranker = ranker
        self.settings = settings
        self.pairs = tier_pairs(settings.tiers)
        # Every process validates all groups: a share each would leave some with more batches than others.
        self.accuracy = MeanMetric(sync_on_compute=False)

    def forward(self, batch: StyleBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Give scores (G, T) and the two style vectors of every response, (G, T, H) each."""
        pooled, form = self._encode(batch)
        groups, tiers = batch.y.shape
        x = batch.x.unsqueeze(1).expand(groups, tiers).reshape(-1)
        y = batch.y.reshape(-1)
        with torch.autocast(pooled.device.type, enabled=False):  # the heads stay fp32 under mixed precision
            vectors = {"surprisal": self.ranker.surprisal(pooled[x], pooled[y]), "form": form[y]}
            scores = self.ranker.score(vectors["surprisal"], vectors["form"])
        return scores.view(groups, tiers), {name: v.view(groups, tiers, -1) for name, v in vectors.items()}

    def _encode(self, batch: StyleBatch) -> tuple[Tensor, Tensor]:
        embedded = self.ranker.embed([pack.input_ids for pack in batch.packs])
        towers = [
            self.ranker.tower(pack.input_ids, pack.attention_mask, some)
            for pack, some in zip(batch.packs, embedded, strict=True)
        ]
        back = torch.argsort(torch.cat([pack.places for pack in batch.packs]))
        return torch.cat([tower.pooled for tower in towers])[back], torch.cat(
            [tower.form for tower in towers]
        )[back]

    def on_train_batch_start(self, batch: StyleBatch, batch_idx: int) -> None:
        """Seed dropout by epoch and batch: a resumed run then draws what an uninterrupted one draws.

        Once an epoch is not enough: making a loader's iterator draws too, and at a resume it is made earlier.
        """
        seed = np.random.SeedSequence([self.settings.seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def on_train_epoch_start(self) -> None:
        """Start the clock of the epoch."""
        self._began, self._spent = time.perf_counter(), 0.0

    def on_train_batch_end(self, outputs: Any, batch: StyleBatch, batch_idx: int) -> None:
        """Note the time that training took so far; validation, which follows, does not count."""
        self._spent = time.perf_counter() - self._began

    def on_train_epoch_end(self) -> None:
        """Log the seconds of the epoch."""
        self.log("epoch_seconds", self._spent)

    def training_step(self, batch: StyleBatch, _: int) -> Tensor:
        """Give the loss: the sum of the hinges over tier pairs, plus the weighted mean of the triplets."""
        scores, vectors = self(batch)
        rank = self.rank_loss(scores, batch.eligible)
        apart = self.triplet_loss(vectors, batch.triplet)
        loss = rank + self.settings.triplet_weight * apart
        size = len(batch.x)
        self.log("loss", loss.detach(), prog_bar=True, batch_size=size)
        self.log("rank_loss", rank.detach(), batch_size=size)
        self.log("triplet_loss", apart.detach(), batch_size=size)
        return loss

    def rank_loss(self, scores: Tensor, eligible: Tensor) -> Tensor:
        """Sum over tier pairs of the mean hinge over the groups that are eligible for the pair."""
        tiers = self.settings.tiers
        losses = []
        for number, (better, worse) in enumerate(self.pairs):
            rows = eligible[:, number]
            a, b = scores[rows, tiers.index(better)], scores[rows, tiers.index(worse)]
            losses.append(hinge(a, b, self.settings.margin))
        return torch.stack(losses).sum()

    def triplet_loss(self, vectors: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Mean of the triplet losses over style vectors, zero where triplets are off."""
        tiers, losses = self.settings.tiers, []
        for name, roles in self.settings.triplet_roles.items():
            anchor, positive, negative = (vectors[name][rows, tiers.index(tier)] for tier in roles)
            losses.append(triplet(anchor, positive, negative, self.settings.triplet_margin))
        return torch.stack(losses).mean() if losses else rows.sum() * 0.0

    def validation_step(self, batch: StyleBatch, _: int) -> None:
        """Count the pairs in strict order: all that are present, whatever their quality."""
        scores, _vectors = self(batch)
        for better, worse in self.pairs:
            a, b = self.settings.tiers.index(better), self.settings.tiers.index(worse)
            both = batch.present[:, a] & batch.present[:, b]
            if both.any():
                self.accuracy.update((scores[both, a] > scores[both, b]).float())

    def on_validation_epoch_end(self) -> None:
        """Log the ordering accuracy, by which the epoch is chosen."""
        self.log(METRIC, self.accuracy.compute(), prog_bar=True)
        self.accuracy.reset()

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

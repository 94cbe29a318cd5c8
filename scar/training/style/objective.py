"""What a style ranker learns: to order tiers (SCAR, arXiv 2406.10882, section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scar.settings import StyleSettings
from scar.training.backbone import embed
from scar.training.batches import unpack
from scar.training.losses import hinge, triplet
from scar.training.style.constraints import tier_pairs
from scar.training.style.data import StyleBatch
from scar.training.style.model import StyleRanker


@dataclass(frozen=True)
class StyleObjective:
    """Hinges over tier pairs, and the triplets that hold the two style vectors apart."""

    ranker: StyleRanker
    settings: StyleSettings
    metric = "ordering_accuracy"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (better, worse) pairs of tiers."""
        return tier_pairs(self.settings.tiers)

    def size(self, batch: StyleBatch) -> int:
        """Count the groups."""
        return len(batch.x)

    def score(self, batch: StyleBatch) -> tuple[Tensor, dict[str, Tensor]]:
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
        embedded = embed(self.ranker.encoder, [pack.feeds["input_ids"] for pack in batch.packs])
        towers = [
            self.ranker.tower(**pack.feeds, embedded=some)
            for pack, some in zip(batch.packs, embedded, strict=True)
        ]
        pooled = unpack([tower.pooled for tower in towers], batch.packs)
        return pooled, unpack([tower.form for tower in towers], batch.packs)

    def losses(self, batch: StyleBatch) -> dict[str, Tensor]:
        """Give the loss: the sum of the hinges over tier pairs, plus the weighted mean of the triplets."""
        scores, vectors = self.score(batch)
        rank = self.rank_loss(scores, batch.eligible)
        apart = self.triplet_loss(vectors, batch.triplet)
        loss = rank + self.settings.triplet_weight * apart
        return {"loss": loss, "rank_loss": rank, "triplet_loss": apart}

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

    def validate(self, batch: StyleBatch) -> Tensor:
        """Tell of each pair that is present, whatever its quality, whether it is in strict order."""
        scores, _vectors = self.score(batch)
        right = []
        for better, worse in self.pairs:
            a, b = self.settings.tiers.index(better), self.settings.tiers.index(worse)
            both = batch.present[:, a] & batch.present[:, b]
            right.append((scores[both, a] > scores[both, b]).float())
        return torch.cat(right)

    def figure(self, rows: Tensor) -> float:
        """Give the share of the pairs in order."""
        return float(rows.mean())

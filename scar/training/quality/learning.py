"""What a cross-encoder learns: good from bad, a grade, or which of two is better."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scar.evaluation.figures import auc
from scar.ranks import spearman
from scar.training.backbone import embed
from scar.training.batches import unpack
from scar.training.cross import CrossEncoder
from scar.training.losses import binary, bradley_terry
from scar.training.quality.data import CrossBatch

METRICS = {"labels": "auc", "graded": "spearman", "pairs": "accuracy"}
"""The validation figure of each objective."""


def judge(ranker: CrossEncoder, batch: CrossBatch) -> Tensor:
    """Give the scores of a batch, (G, k)."""
    embedded = embed(ranker.encoder, [pack.feeds["input_ids"] for pack in batch.packs])
    scores = [
        ranker(**pack.feeds, embedded=some).score for pack, some in zip(batch.packs, embedded, strict=True)
    ]
    return unpack(scores, batch.packs)[batch.sequences]


@dataclass(frozen=True)
class CrossObjective:
    """Binary cross-entropy over labels or grades, Bradley-Terry over pairs."""

    ranker: CrossEncoder
    kind: str
    """labels, graded or pairs."""
    pos_weight: float = 1.0

    @property
    def metric(self) -> str:
        """Name of the validation figure."""
        return METRICS[self.kind]

    def size(self, batch: CrossBatch) -> int:
        """Count the rows."""
        return len(batch.targets)

    def losses(self, batch: CrossBatch) -> dict[str, Tensor]:
        """Give the loss."""
        scores = judge(self.ranker, batch)
        if self.kind == "pairs":
            return {"loss": bradley_terry(scores[:, 0], scores[:, 1], batch.targets)}
        return {"loss": binary(scores[:, 0], batch.targets, self.pos_weight)}

    def validate(self, batch: CrossBatch) -> Tensor:
        """Give the score and the target of each row, or the scores of both responses: (G, 2)."""
        scores = judge(self.ranker, batch)
        return scores if self.kind == "pairs" else torch.stack([scores[:, 0], batch.targets], dim=1)

    def figure(self, rows: Tensor) -> float:
        """Give the share of pairs in strict order, the AUC, or Spearman's correlation with the grades."""
        first, second = rows.double().cpu().numpy().T
        if self.kind == "pairs":
            return float((first > second).mean())
        if self.kind == "labels":
            return auc(first[second == 1], first[second == 0])
        return spearman(first, second)

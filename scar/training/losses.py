"""Losses of the rankers: pure functions over scores (N,) and vectors (N, H). Zero, not NaN, where N is 0."""

import torch.nn.functional as F
from torch import Tensor


def hinge(better: Tensor, worse: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin - (better - worse)) over N pairs (SCAR, arXiv 2406.10882, section 3.2)."""
    if better.numel() == 0:
        return better.sum()
    return F.relu(margin - (better - worse)).mean()


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin + |a - p| - |a - n|), Euclidean, over N triplets (SCAR, arXiv 2406.10882, section 3.2).

    Gradients flow into the anchors too, as in the original.
    """
    if anchor.numel() == 0:
        return anchor.sum()
    return F.triplet_margin_loss(anchor, positive, negative, margin=margin, p=2)


def binary(scores: Tensor, targets: Tensor, pos_weight: float = 1.0) -> Tensor:
    """Mean of -(w y ln p + (1 - y) ln(1 - p)) over N logits, p = sigmoid(score), y in [0, 1], w = `pos_weight`.

    The cross-entropy of Cox's logistic model (J. R. Stat. Soc. B 20, 1958), from logits, so that a large one stays
    finite. The weight is torch's: the mean is over N, not over the weights.
    """
    if scores.numel() == 0:
        return scores.sum()
    weight = scores.new_tensor(pos_weight)
    return F.binary_cross_entropy_with_logits(scores, targets.to(scores), pos_weight=weight)


def bradley_terry(better: Tensor, worse: Tensor, margins: Tensor | None = None) -> Tensor:
    """Mean of -ln sigmoid(better - worse - margin) over N pairs; without margins they are zero.

    The model of Bradley and Terry (Biometrika 39, 1952); margins as in Llama 2 (arXiv 2307.09288, equation 2).
    """
    if better.numel() == 0:
        return better.sum()
    lead = better - worse
    return F.softplus(-lead if margins is None else margins.to(lead) - lead).mean()

"""Losses of SCAR (arXiv 2406.10882, section 3.2). Pure functions over scores (N,) and vectors (N, H)."""

import torch.nn.functional as F
from torch import Tensor


def hinge(better: Tensor, worse: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin - (better - worse)) over N pairs; zero, not NaN, for no pair."""
    if better.numel() == 0:
        return better.sum()
    return F.relu(margin - (better - worse)).mean()


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean of max(0, margin + |a - p| - |a - n|), Euclidean, over N triplets; zero for none.

    Gradients flow into the anchors too, as in the original.
    """
    if anchor.numel() == 0:
        return anchor.sum()
    return F.triplet_margin_loss(anchor, positive, negative, margin=margin, p=2)

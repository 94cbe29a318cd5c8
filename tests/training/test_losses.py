"""The losses against SCAR's reference values and a plain loop."""

import pytest
import torch

from scar.training.losses import hinge, triplet


def test_hinge_is_the_margin_less_the_lead():
    assert hinge(torch.tensor([1.0]), torch.tensor([0.8]), 0.5).item() == pytest.approx(0.3)
    assert hinge(torch.tensor([1.0]), torch.tensor([0.2]), 0.5).item() == 0.0


def test_hinge_is_torchs_margin_ranking_loss():
    a, b = torch.randn(50), torch.randn(50)
    theirs = torch.nn.MarginRankingLoss(margin=0.5)(a, b, torch.ones(50))
    assert hinge(a, b, 0.5).item() == pytest.approx(theirs.item(), abs=1e-7)


def test_no_pair_costs_nothing_and_keeps_the_graph():
    scores = torch.randn(4, requires_grad=True)
    loss = hinge(scores[:0], scores[:0], 0.5)
    loss.backward()
    assert loss.item() == 0.0 and scores.grad.abs().sum() == 0.0


@pytest.mark.parametrize(("to_positive", "to_negative", "loss"), [(2.0, 1.0, 2.0), (1.0, 3.0, 0.0)])
def test_triplet_has_the_reference_values(to_positive, to_negative, loss):
    anchor = torch.zeros(1, 2)
    positive, negative = torch.tensor([[to_positive, 0.0]]), torch.tensor([[0.0, to_negative]])
    assert triplet(anchor, positive, negative, 1.0).item() == pytest.approx(loss, abs=1e-4)


def test_triplet_moves_the_anchor_too():
    anchor = torch.ones(3, 4, requires_grad=True)
    triplet(anchor, torch.zeros(3, 4), torch.full((3, 4), 2.0), 1.0).backward()
    assert anchor.grad.abs().sum() > 0


def test_no_triplet_costs_nothing():
    empty = torch.zeros(0, 4, requires_grad=True)
    assert triplet(empty, empty, empty, 1.0).item() == 0.0

"""The losses against the reference values of SCAR, those of torch, and values by hand."""

import pytest
import torch

from scar.training.losses import binary, bradley_terry, hinge, triplet


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


@pytest.mark.parametrize("weight", [1.0, 0.5, 3.0])
def test_binary_is_the_weighted_cross_entropy_of_soft_targets(weight):
    scores, targets = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    p = 1 / (1 + torch.exp(-scores))
    expected = -(weight * targets * torch.log(p) + (1 - targets) * torch.log(1 - p)).mean()
    assert binary(scores, targets, weight).item() == pytest.approx(expected.item())


def test_binary_of_large_logits_is_finite():
    assert binary(torch.tensor([1e4, -1e4]), torch.tensor([0.0, 1.0])).item() == pytest.approx(1e4)


def test_with_balanced_weights_both_classes_pull_alike():
    scores = torch.zeros(5, requires_grad=True)
    binary(scores, torch.tensor([1.0, 0, 0, 0, 0]), pos_weight=4.0).backward()
    assert scores.grad[0].item() == pytest.approx(-scores.grad[1:].sum().item())


def test_bradley_terry_is_the_log_of_the_sigmoid_of_the_lead_beyond_the_margin():
    better, worse, margins = torch.randn(3, 50, dtype=torch.float64)
    expected = -torch.nn.functional.logsigmoid(better - worse).mean()
    assert bradley_terry(better, worse).item() == pytest.approx(expected.item())
    expected = -torch.log(torch.sigmoid(better - worse - margins.abs())).mean()
    assert bradley_terry(better, worse, margins.abs()).item() == pytest.approx(expected.item())
    assert bradley_terry(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([1.0])).item() == (
        pytest.approx(0.693147, abs=1e-6)
    )


def test_bradley_terry_of_a_hopeless_pair_is_finite():
    assert bradley_terry(torch.tensor([-1e4]), torch.tensor([1e4])).item() == pytest.approx(2e4)


def test_an_empty_batch_of_labels_or_pairs_costs_nothing_and_keeps_the_graph():
    scores = torch.randn(4, requires_grad=True)
    none = scores[:0]
    loss = binary(none, none.detach(), 2.0) + bradley_terry(none, none, none.detach())
    loss.backward()
    assert loss.item() == 0.0 and scores.grad.abs().sum() == 0.0

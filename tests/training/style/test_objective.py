"""The training step: SCAR's loss, general in its tiers, blind to packing."""

from dataclasses import replace

import pytest
import torch

from scar.settings import StyleSettings
from scar.training import backbone
from scar.training.fit import pair_encoder
from scar.training.style.data import Groups, teaching_rows
from scar.training.style.objective import StyleObjective
from scar.training.style.train import build
from tests.make import tier_rows, write_jsonl


@pytest.fixture
def parts(settings, tmp_path):
    from scar.pools import read_tiers

    def make(rows, **more):
        mine = replace(settings, **more)
        loaded = backbone.load(mine.encoder)
        items = list(read_tiers(write_jsonl(tmp_path / "t.jsonl", rows)))
        kept, teaching = teaching_rows(items, "none", mine)
        return StyleObjective(build(loaded, mine).eval(), mine), Groups.of(
            kept, teaching, pair_encoder(loaded, mine, "each"), mine
        )

    return make


def test_the_loss_is_the_sum_of_the_hinges_and_a_tenth_of_the_triplets(parts):
    learner, groups = parts(tier_rows(5))
    batch = groups.batch(range(5))
    scores, vectors = learner.score(batch)
    d, r, h = scores.T
    hinges = sum((0.5 - (a - b)).clamp(min=0).mean() for a, b in ((d, r), (r, h), (d, h)))
    v, p = vectors["surprisal"], vectors["form"]

    def apart(a, b, c):
        return torch.nn.functional.triplet_margin_loss(a, b, c, margin=1.0)

    triplets = (apart(v[:, 1], v[:, 2], v[:, 0]) + apart(p[:, 0], p[:, 1], p[:, 2])) / 2
    assert learner.losses(batch)["loss"].item() == pytest.approx((hinges + 0.1 * triplets).item(), rel=1e-5)


def test_swapping_best_and_worst_raises_the_loss_of_a_ranker_that_orders_them(parts):
    learner, groups = parts(tier_rows(3))
    batch = groups.batch(range(3))
    scores = torch.tensor([[2.0, 1.0, 0.0]] * 3)
    assert learner.rank_loss(scores, batch.eligible) == 0
    assert learner.rank_loss(scores.flip(1), batch.eligible) > 3


def test_how_texts_are_packed_changes_nothing(parts):
    learner, groups = parts(tier_rows(8))
    wide = learner.score(replace(groups, batch_tokens=100_000).batch(range(8)))[0]
    narrow = learner.score(replace(groups, batch_tokens=40).batch(range(8)))[0]
    torch.testing.assert_close(wide, narrow, atol=1e-5, rtol=0)


def test_two_tiers_under_other_names_train_without_triplets(parts):
    rows = [{"instruction": f"q {n}", "responses": {"good": f"a {n}", "bad": f"b {n}"}} for n in range(4)]
    learner, groups = parts(rows, tiers=("good", "bad"))
    loss = learner.losses(groups.batch(range(4)))["loss"]
    loss.backward()
    assert loss > 0 and learner.settings.triplet_roles == {}


def test_groups_without_the_third_tier_take_no_part_in_the_triplets(parts):
    rows = tier_rows(4)
    for row in rows:
        del row["responses"]["referenced"]
    learner, groups = parts(rows)
    batch = groups.batch(range(4))
    _, vectors = learner.score(batch)
    assert learner.triplet_loss(vectors, batch.triplet).item() == 0.0


def test_validation_counts_strict_orders_of_all_pairs_present(parts):
    learner, groups = parts(tier_rows(6))
    batch = groups.batch(range(6))
    d, r, h = learner.score(batch)[0].T
    want = torch.cat([d > r, d > h, r > h]).float().mean()
    assert learner.figure(learner.validate(batch)) == pytest.approx(want.item())


def test_settings_refuse_roles_outside_the_tiers():
    with pytest.raises(ValueError, match="anchor"):
        StyleSettings(tiers=("good", "bad"), triplets={"form": ("good", "bad", "human")})

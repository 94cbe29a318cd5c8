"""Batches of groups: every group once an epoch, every text once a batch, the parts where they belong."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scar.encoding import PairEncoder, TextEncoder, TextSettings
from scar.pools import read_tiers
from scar.settings import StyleSettings
from scar.training.batches import LengthBatches
from scar.training.style.data import Groups, teaching_rows
from tests.make import tier_rows, tiny_tokenizer, write_jsonl


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(folder)
    return PairEncoder(TextEncoder.from_file(folder / "tokenizer.json", 0), TextSettings(0, 32))


def groups_of(tmp_path, encoder, rows, **more):
    settings = StyleSettings(**more)
    items = list(read_tiers(write_jsonl(tmp_path / "tiers.jsonl", rows)))
    kept, teaching = teaching_rows(items, "none", settings)
    return Groups.of(kept, teaching, encoder, settings), kept


def text_of(batch, place):
    """Find a text's ids in the packs of a batch."""
    for pack in batch.packs:
        for ids, mask, where in zip(
            pack.feeds["input_ids"], pack.feeds["attention_mask"], pack.places, strict=True
        ):
            if where == place:
                return ids[mask.bool()].tolist()
    raise AssertionError(f"no text at place {place}")


def test_every_part_of_a_batch_is_its_rows_text(tmp_path, encoder):
    rows = tier_rows(9)
    del rows[2]["responses"]["referenced"]
    groups, kept = groups_of(tmp_path, encoder, rows)
    chosen = [5, 2, 7]
    batch = groups.batch(chosen)
    for g, number in enumerate(chosen):
        want = encoder.text.encode([kept[number].turns[0].text], 32).ids.tolist()
        assert text_of(batch, batch.x[g]) == want
        for t, tier in enumerate(("direct", "referenced", "human")):
            assert batch.present[g, t] == (tier in kept[number].responses)
            if batch.present[g, t]:
                want = encoder.text.encode([kept[number].responses[tier]], 32).ids.tolist()
                assert text_of(batch, batch.y[g, t]) == want
    assert batch.eligible[1].tolist() == [False, True, False]
    assert batch.triplet.tolist() == [True, False, True]


def test_a_text_that_stands_twice_is_encoded_once(tmp_path, encoder):
    rows = [
        {"instruction": "what is a list", "responses": {"direct": f"a list {n}", "human": "the list"}}
        for n in "abc"
    ]
    groups, _ = groups_of(tmp_path, encoder, rows)
    assert sum(len(pack.places) for pack in groups.batch([0, 1, 2]).packs) == 1 + 3 + 1


def test_rows_without_a_teaching_pair_leave_before_loading(tmp_path, encoder):
    rows = [
        *tier_rows(3),
        {"instruction": "q", "responses": {"direct": "alone"}},
        {"instruction": "q", "responses": {"direct": "same", "human": "same"}},
    ]
    groups, _ = groups_of(tmp_path, encoder, rows)
    assert len(groups) == 3


@given(n=st.integers(1, 70), size=st.integers(1, 9), world=st.integers(1, 4), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_group_and_every_process_as_many_steps(n, size, world, epoch):
    lengths = np.random.default_rng(n).integers(1, 99, n)
    shares = [list(LengthBatches(lengths, size, 7, epoch, rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert all(
        len(LengthBatches(lengths, size, 7, epoch, rank, world)) == len(shares[rank]) for rank in range(world)
    )
    assert {group for share in shares for batch in share for group in batch} == set(range(n))
    if world == 1:
        assert sorted(group for batch in shares[0] for group in batch) == list(range(n))


def test_an_epochs_order_depends_on_seed_and_epoch_alone():
    lengths = np.arange(1, 40)
    first = list(LengthBatches(lengths, 4, 1, 0))
    assert first == list(LengthBatches(lengths, 4, 1, 0))
    assert first != list(LengthBatches(lengths, 4, 1, 1))
    assert first != list(LengthBatches(lengths, 4, 2, 0))


def test_the_last_batch_may_hold_one_group(tmp_path, encoder):
    groups, _ = groups_of(tmp_path, encoder, tier_rows(33))
    sizes = [len(batch) for batch in LengthBatches(groups.lengths, 32, 0, 0)]
    assert sorted(sizes) == [1, 32]
    assert groups.batch([0]).x.shape == torch.Size([1])

"""Unpadded batches give the scores of the padded reference, for every architecture of the table."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.training.cross import HeadShape
from scar.training.engine import TorchEngine
from scar.training.launch import launcher
from scar.training.style.model import StyleRanker
from scar.training.unpadded import UNPADDED, forward_of, pack
from tests.training.made import cross_ranker, fed, style_ranker

CPU = torch.device("cpu")
LENGTHS = [1, 29, 7, 2, 40, 7]
TOWER, JUDGED = ["pooled", "form", "mean"], ["score", "embedding"]
PADDED_ONLY = ("deberta-v2", "mpnet")


def reference(ranker, outputs, feeds):
    """Run a ranker padded, with eager attention, in fp32."""
    function = ranker.tower if isinstance(ranker, StyleRanker) else ranker
    return TorchEngine(lambda **given: function(**given)._asdict(), CPU).run(outputs, feeds)


def run(ranker, outputs, feeds, dtype=torch.float32):
    """Run a copy of a ranker as the engine does."""
    return launcher(forward_of(copy.deepcopy(ranker), CPU, dtype), CPU)(outputs, feeds)()


def same(got, want, tolerance=1e-5):
    return all(np.abs(a - b).max() <= tolerance for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("kind", [*UNPADDED, *PADDED_ONLY])
def test_a_tower_gives_what_the_padded_reference_gives(kind):
    ranker, feeds = style_ranker(kind), fed(LENGTHS)
    assert same(run(ranker, TOWER, feeds), reference(ranker, TOWER, feeds))
    assert forward_of(ranker, CPU, torch.float32).unpadded == (kind not in PADDED_ONLY)


@pytest.mark.parametrize("kind", ["bert", "electra", "gte"])
def test_a_cross_encoder_is_told_the_types_of_tokens(kind):
    ranker, feeds = cross_ranker(kind), fed(LENGTHS, types=True)
    got = run(ranker, JUDGED, feeds)
    assert same(got, reference(ranker, JUDGED, feeds))
    untold = {name: array for name, array in feeds.items() if name != "token_type_ids"}
    assert np.abs(got[0] - run(ranker, JUDGED, untold)[0]).max() > 1e-3


@pytest.mark.parametrize(
    "shape", [HeadShape("pooler"), HeadShape("mean", "gelu", unit=True), HeadShape("first_token", "tanh")]
)
def test_every_head_of_a_cross_encoder_is_fed_its_vector(shape):
    ranker, feeds = cross_ranker("bert", shape), fed(LENGTHS)
    assert same(run(ranker, JUDGED, feeds), reference(ranker, JUDGED, feeds))


def test_outputs_come_in_the_order_asked_for():
    ranker, feeds = style_ranker("bert"), fed([3, 5])
    mean, form = run(ranker, ["mean", "form"], feeds)
    assert same([form, mean], reference(ranker, ["form", "mean"], feeds))


@pytest.fixture(scope="module")
def windowed():
    """A ranker with windows, and the engine's start of a batch on it."""
    ranker = style_ranker("modernbert")
    return ranker, launcher(forward_of(copy.deepcopy(ranker), CPU, torch.float32), CPU)


@given(st.lists(st.integers(1, 24), min_size=1, max_size=4), st.integers(0, 9))
@settings(max_examples=12)
def test_batch_mates_do_not_matter(windowed, lengths, seed):
    ranker, launch = windowed
    feeds = fed(lengths, seed=seed)
    together = launch(TOWER, feeds)()
    assert same(together, reference(ranker, TOWER, feeds))
    for number, length in enumerate(lengths):
        one = {name: array[[number], :length] for name, array in feeds.items()}
        assert same(launch(TOWER, one)(), [array[[number]] for array in together])


def test_more_padding_changes_no_bit(windowed):
    _, launch = windowed
    feeds = fed(LENGTHS)
    wide = {name: np.pad(array, ((0, 0), (0, 9))) for name, array in feeds.items()}
    assert same(launch(TOWER, wide)(), launch(TOWER, feeds)(), 0)


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta"])
def test_a_text_that_spells_the_padding_token_has_the_positions_of_the_reference(kind):
    ranker = style_ranker(kind)
    ids = fed(LENGTHS)["input_ids"]
    ids[1, [2, 3, 11]] = ids[4, 0] = ranker.encoder.config.pad_token_id
    feeds = fed(LENGTHS, ids=ids)
    assert same(run(ranker, TOWER, feeds), reference(ranker, TOWER, feeds))


def test_rows_hold_the_real_tokens_their_places_and_types():
    rows, starts = pack(fed([2, 3], types=True, ids=np.arange(4, 10).reshape(2, 3)), None)
    assert rows.tolist() == [[4, 5, 7, 8, 9], [0, 1, 0, 1, 2], [0, 1, 0, 1, 1]]
    assert starts.tolist() == [0, 2, 5] and starts.dtype == rows.dtype == np.int32


@pytest.mark.parametrize("kind", [*UNPADDED, *PADDED_ONLY])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_reduced_precision_is_that_of_the_encoder_alone(kind, dtype):
    ranker, feeds = style_ranker(kind), fed(LENGTHS)
    want = reference(ranker, TOWER, feeds)
    got = run(ranker, TOWER, feeds, dtype)
    for low, whole in zip(got, want, strict=True):
        assert low.dtype == np.float32
        assert 0 < np.sqrt(np.mean((low - whole) ** 2)) <= 0.05 * whole.std()


def test_normalisation_rotation_pooler_and_head_stay_in_fp32():
    for kind, kept in (("bert", ("LayerNorm", "pooler")), ("modernbert", ("norm", "inv_freq"))):
        ranker = style_ranker(kind)
        tensors = dict(ranker.named_parameters()) | dict(ranker.named_buffers())
        forward_of(ranker, CPU, torch.bfloat16)
        for name, tensor in tensors.items():
            whole = not name.startswith("encoder.") or any(part in name for part in kept)
            if tensor.is_floating_point():
                assert tensor.dtype == (torch.float32 if whole else torch.bfloat16), name

"""Attention and reductions over sequences without padding, beside a loop in fp64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.training.unpadded import lower
from scar.training.varlen import (
    Segments,
    best_kernel,
    flash_attention,
    install,
    padded_attention,
    torch_attention,
)
from tests.training.made import spread_encoder

LENGTHS = st.lists(st.integers(1, 8), min_size=1, max_size=4)


def segments_of(lengths, device="cpu"):
    starts = torch.tensor(np.concatenate([[0], np.cumsum(lengths)]), dtype=torch.int32, device=device)
    return Segments(starts, max(lengths), sum(lengths))


def drawn(tokens, width=8, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(3, tokens, 2, width))).float()


def by_hand(query, key, value, lengths, window):
    """Attend token by token, in fp64."""
    query, key, value = (part.double().numpy() for part in (query, key, value))
    out, start = np.zeros(query.shape), 0
    for length in lengths:
        for place in range(length):
            low, high = (0, length) if window is None else (max(0, place - window), place + window + 1)
            keys = slice(start + low, start + min(high, length))
            for head in range(query.shape[1]):
                scores = key[keys, head] @ query[start + place, head] / np.sqrt(query.shape[2])
                weights = np.exp(scores - scores.max())
                out[start + place, head] = weights @ value[keys, head] / weights.sum()
        start += length
    return out


@given(LENGTHS, st.none() | st.integers(0, 5), st.integers(0, 9))
@settings(max_examples=40)
def test_a_token_attends_to_its_own_sequence_within_its_window(lengths, window, seed):
    query, key, value = drawn(sum(lengths), seed=seed)
    got = padded_attention(query, key, value, segments_of(lengths), window)
    assert np.abs(got.numpy() - by_hand(query, key, value, lengths, window)).max() < 1e-5


@given(LENGTHS)
def test_means_and_maxima_are_those_of_each_sequence(lengths):
    segments, states = segments_of(lengths), drawn(sum(lengths))[0].flatten(1)
    pieces = np.split(states.numpy(), np.cumsum(lengths)[:-1])
    assert np.allclose(segments.mean(states), [piece.mean(axis=0) for piece in pieces], atol=1e-6)
    assert np.array_equal(segments.highest(states), [piece.max(axis=0) for piece in pieces])


def test_the_kernels_of_a_gpu_are_not_for_a_cpu():
    for dtype in (torch.float32, torch.bfloat16):
        assert best_kernel(torch.device("cpu"), dtype, 64) is padded_attention


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_encoder_calls_the_attention_of_pytorch_as_it_wants_to_be_called(kind, dtype):
    # On the meta device nothing is calculated, but names, shapes and precisions are checked.
    encoder = spread_encoder(kind)
    lower(encoder, dtype)
    encoder.pooler = None
    install(encoder.to("meta"))
    ids = torch.zeros((1, 7), dtype=torch.long, device="meta")
    out = encoder(
        input_ids=ids, position_ids=ids, attend=torch_attention, segments=segments_of([3, 4], "meta")
    )
    assert out.last_hidden_state.shape == (1, 7, 32) and out.last_hidden_state.dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernel", [torch_attention, flash_attention])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [None, 0, 3])
def test_the_kernels_of_a_gpu_give_what_the_loop_gives(kernel, dtype, window):
    if kernel is flash_attention:
        pytest.importorskip("flash_attn")
    lengths = [1, 9, 33, 2]
    query, key, value = drawn(sum(lengths), 32).to(dtype)
    got = kernel(query.cuda(), key.cuda(), value.cuda(), segments_of(lengths, "cuda"), window)
    want = by_hand(query.float(), key.float(), value.float(), lengths, window)
    assert np.abs(got.float().cpu().numpy() - want).max() < 0.02

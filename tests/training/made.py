"""Rankers on tiny encoders whose every weight matters, and batches for them."""

import copy
from functools import lru_cache

import numpy as np
import torch
from transformers import AutoConfig, AutoModel

from scar.training.cross import CrossEncoder, HeadShape
from scar.training.style.model import StyleRanker
from tests.make import DEBERTA_V3

WIDTH, WORDS = 32, 60
MORE = {
    # Windows of 3 tokens to each side, shorter than most sequences; every second layer sees everything.
    "modernbert": {"local_attention": 6, "global_attn_every_n_layers": 2},
    "deberta-v2": DEBERTA_V3,
    "bert": {"type_vocab_size": 2},
    "gte": {"type_vocab_size": 2},
}


@lru_cache
def _encoder(kind):
    config = AutoConfig.for_model(
        kind,
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=64,
        pad_token_id=1,
        **MORE.get(kind, {}),
    )
    torch.manual_seed(1)
    encoder = AutoModel.from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return encoder.eval()


def spread_encoder(kind):
    """Make a tiny encoder whose weights are drawn so wide that its attention tells the tokens apart."""
    return copy.deepcopy(_encoder(kind))


def style_ranker(kind):
    """Put the heads of a style ranker on an encoder."""
    encoder = spread_encoder(kind)
    pooling = "pooler" if getattr(encoder, "pooler", None) is not None else "first_token"
    return StyleRanker(encoder, WIDTH, 16, pooling).eval()


def cross_ranker(kind, shape=None):
    """Put the head of a cross-encoder on an encoder."""
    shape = shape or HeadShape("first_token", "gelu", norm=1e-5)
    return CrossEncoder(spread_encoder(kind), WIDTH, shape, "quality").eval()


def fed(lengths, *, types=False, seed=0, ids=None):
    """Make a padded batch of sequences of given lengths; with `types` the second half of each is of type 1."""
    rng = np.random.default_rng(seed)
    lengths = np.array(lengths)[:, None]
    mask = (np.arange(lengths.max()) < lengths).astype(np.int64)
    drawn = rng.integers(4, WORDS, mask.shape) if ids is None else ids
    feeds = {"input_ids": np.where(mask, drawn, 1), "attention_mask": mask}
    if types:
        feeds["token_type_ids"] = (np.arange(lengths.max()) >= lengths // 2).astype(np.int64) * mask
    return feeds

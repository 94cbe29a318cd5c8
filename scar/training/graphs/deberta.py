"""DeBERTa's attention as graphs can run it fast: the same scores, and no index of (heads, L, L).

What transformers gathers by an index of every head, query and key depends on i - j alone. Here the positions' keys and
queries are constants, a batch takes their rows by distance, and reading the products in rows that are one shorter
moves row i by i places. Queries go in blocks, or half of the products would be of distances that no key is at.

N sequences, L tokens, H heads of width D, A blocks of S tokens (A x S = L), W = L + S distances from a block.
"""

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta.modeling_deberta import DebertaModel
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Model, make_log_bucket_position

BLOCKS = 4
MASKED = -1e4
"""Added to the score of a padded key: nothing is left of it after the softmax, and every precision can hold it."""
FARTHEST = 2**16
"""Distances are told apart up to here at most."""


def with_fast_attention(model: nn.Module) -> nn.Module:
    """Give a copy whose DeBERTa encoders attend without index tensors; a model that has none is given as it is.

    States of real tokens are those of transformers to 1e-5; those of padding are others, which nothing may read.
    """
    if not any(_can_be_rewritten(module) for module in model.modules()):
        return model
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        for module in list(model.modules()):
            if _can_be_rewritten(module):
                module.encoder = _Encoder(cast(nn.Module, module.encoder))
    return model


def _can_be_rewritten(module: nn.Module) -> bool:
    # Talking heads mix the scores of the heads: no checkpoint that we know has them.
    known = isinstance(module, DebertaModel | DebertaV2Model)
    return known and not getattr(module.config, "talking_head", False)


class _Encoder(nn.Module):
    """The layers of a DeBERTa encoder, over sequences filled up to whole blocks."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.layer, self.conv = encoder.layer, getattr(encoder, "conv", None)
        table = encoder.get_rel_embedding()
        for layer in self.layer:
            layer.attention.self = _Attention(layer.attention.self, table)
        rows = _rows_by_distance(encoder) if table is not None else torch.zeros(1, dtype=torch.long)
        self.rows = nn.Buffer(rows)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, **_: object) -> BaseModelOutput:
        """Encode embeddings (N, L, width) under a mask (N, L)."""
        length = hidden_states.shape[1]
        block = (length + BLOCKS - 1) // BLOCKS
        fill = BLOCKS * block - length
        states, mask = F.pad(hidden_states, (0, 0, 0, fill)), F.pad(attention_mask, (0, fill))
        masked = (1.0 - mask[:, None, None, :].to(states.dtype)) * MASKED
        rows = self._rows(block)
        for number, layer in enumerate(self.layer):
            out = layer(states, masked, relative_pos=rows)[0]
            states = self.conv(states, out, mask) if number == 0 and self.conv is not None else out
        states = states[:, :length]
        return BaseModelOutput(last_hidden_state=states, hidden_states=(states,))

    def _rows(self, block: int) -> tuple[Tensor, Tensor]:
        """Give the table's rows (A x W,) by distance query - key, and by key - query, from each block on."""
        reach = len(self.rows) // 2
        first = torch.arange(BLOCKS)[:, None] * block + block - 1
        distance = first - torch.arange((BLOCKS + 1) * block)
        near = distance.clamp(-reach, reach).reshape(-1)
        return self.rows.index_select(0, reach + near), self.rows.index_select(0, reach - near)


def _rows_by_distance(encoder: Any) -> Tensor:
    """Give the row of the position table for each distance query - key from -reach to reach."""
    buckets, longest = getattr(encoder, "position_buckets", -1), encoder.max_relative_positions
    span, reach = buckets if buckets > 0 else longest, 1
    bucketed = buckets > 0 and longest > 0

    def row(distance: Tensor) -> Tensor:
        place = make_log_bucket_position(distance, buckets, longest) if bucketed else distance
        return (place.long() + span).clamp(0, 2 * span - 1)

    # Beyond the distance that takes the first row, all do.
    while reach < FARTHEST and int(row(torch.tensor([-reach]))[0]) > 0:
        reach *= 2
    return row(torch.arange(-reach, reach + 1))


class _Attention(nn.Module):
    """Disentangled self-attention with the positions' projections and the scale folded into constants."""

    def __init__(self, attention: Any, table: Tensor | None) -> None:
        super().__init__()
        self.heads = attention.num_attention_heads
        width = attention.all_head_size // self.heads
        kinds = [kind for kind in ("c2p", "p2c") if kind in attention.pos_att_type]
        scale = (width * (1 + len(kinds))) ** 0.5
        keys, queries = _position_tables(attention, table)
        # (H, rows, D): a batch takes whole rows of D.
        self.position_keys = nn.Buffer(self._split(keys)) if keys is not None else None
        self.position_queries = nn.Buffer(self._split(queries / scale)) if queries is not None else None
        self.query, self.key, self.value = _projections(attention)
        self.query.weight.div_(scale)
        self.query.bias.div_(scale)

    def _split(self, table: Tensor) -> Tensor:
        return table.reshape(len(table), self.heads, -1).transpose(0, 1).contiguous()

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, *_: object, **positions: Any
    ) -> tuple[Tensor, None]:
        """Attend: states (N, L, H x D), what masks the keys (N, 1, 1, L) -> (N, L, H x D)."""
        split = [
            part(hidden_states).unflatten(-1, (self.heads, -1)) for part in (self.query, self.key, self.value)
        ]
        query, key, value = (part.transpose(1, 2) for part in split)
        bias = attention_mask
        by_query, by_key = positions["relative_pos"]
        if self.position_keys is not None:
            bias = bias + _by_distance(query, self.position_keys, by_query)
        if self.position_queries is not None:
            bias = bias + _by_distance(key, self.position_queries, by_key).transpose(2, 3)
        # Written out: the exporter cannot follow the layout of what the library's function gives.
        context = torch.softmax(query @ key.transpose(2, 3) + bias, dim=-1) @ value
        return context.transpose(1, 2).reshape(hidden_states.shape), None


def _by_distance(vectors: Tensor, table: Tensor, rows: Tensor) -> Tensor:
    """Multiply each vector (N, H, L, D) with the table's row for its distance to each of L: (N, H, L, L)."""
    n, heads, length, width = vectors.shape
    block = length // BLOCKS
    span = length + block
    near = table.index_select(1, rows).reshape(heads, BLOCKS, span, width)
    products = vectors.reshape(n, heads, BLOCKS, block, width) @ near.transpose(2, 3)
    # Row i of a block begins i places later when the same numbers are read in rows of span - 1.
    flat = products.reshape(n, heads, BLOCKS, block * span)[..., : block * (span - 1)]
    return flat.reshape(n, heads, BLOCKS, block, span - 1)[..., block - 1 :].reshape(n, heads, length, length)


def _position_tables(attention: Any, table: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Project the position table to keys (for c2p) and queries (for p2c), each (rows, H x D); None where not used."""
    if table is None or not attention.relative_attention:
        return None, None
    if hasattr(attention, "in_proj"):
        names = ("pos_proj", "pos_q_proj")
    elif attention.share_att_key:
        names = ("key_proj", "query_proj")
    else:
        names = ("pos_key_proj", "pos_query_proj")
    key, query = (
        getattr(attention, name)(table) if kind in attention.pos_att_type else None
        for kind, name in zip(("c2p", "p2c"), names, strict=True)
    )
    return key, query


def _projections(attention: Any) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
    """Give the projections to queries, keys and values, which DeBERTa v1 has in one, head by head."""
    if not hasattr(attention, "in_proj"):
        return attention.query_proj, attention.key_proj, attention.value_proj
    weights = attention.in_proj.weight.unflatten(0, (attention.num_attention_heads, 3, -1))
    biases = (attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias)
    parts = tuple(nn.Linear(weights.shape[-1], attention.all_head_size) for _ in biases)
    for number, (part, bias) in enumerate(zip(parts, biases, strict=True)):
        part.weight.copy_(weights[:, number].flatten(0, 1))
        part.bias.copy_(bias)
    return cast(tuple[nn.Linear, nn.Linear, nn.Linear], parts)

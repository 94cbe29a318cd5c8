"""A ranker over batches without padding: only real tokens go through the encoder, in the precision asked for.

T tokens of N sequences, H the encoder's width. Knows devices and precisions, no text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scar.serving.engines import Feeds
from scar.training.bare import BareEncoder
from scar.training.cross import CrossEncoder
from scar.training.engine import Ranker
from scar.training.style.model import StyleRanker
from scar.training.varlen import Segments, best_kernel, install

UNPADDED = ("bert", "roberta", "xlm-roberta", "electra", "modernbert", "gte")
"""Model types whose attention is a function of query, key and value alone; relative biases need the padded grid."""


class Forward(Protocol):
    """A ranker on a device: named outputs for padded feeds. On a GPU it returns before they are there."""

    attention: str
    """What attends: the name of the kernel."""
    unpadded: bool
    """Whether the encoder gets no padding."""

    def __call__(self, outputs: Sequence[str], feeds: Feeds) -> list[Tensor]:
        """Start on a batch; gives tensors of the device."""
        ...


def forward_of(ranker: Ranker, device: torch.device, dtype: torch.dtype) -> Forward:
    """Put a ranker on a device, its encoder in a precision; unpadded where its architecture allows."""
    encoder: Any = ranker.encoder
    lower(encoder, dtype)
    ranker.eval().to(device)
    if encoder.config.model_type in UNPADDED:
        return Unpadded(ranker, device, dtype)
    return Padded(ranker, device)


def lower(encoder: nn.Module, dtype: torch.dtype) -> None:
    """Bring an encoder's weights to a precision; normalisation and the pooler calculate in fp32 all the same.

    Cast once: autocast would cast every weight again in every batch. Buffers stay: rotary frequencies in bf16 would
    move the later tokens by whole positions.
    """
    if dtype == torch.float32:
        return
    pooler = getattr(encoder, "pooler", None)
    whole = [pooler] if pooler is not None else []
    norms = [module for module in encoder.modules() if isinstance(module, nn.LayerNorm)]
    kept = {id(weight) for module in [*whole, *norms] for weight in module.parameters()}
    for weight in encoder.parameters():
        if id(weight) not in kept:
            weight.data = weight.data.to(dtype)
    for module in [*whole, *norms]:
        module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    for module in norms:
        module.register_forward_hook(lambda _, __, normed: normed.to(dtype))


def moved(array: NDArray[Any], device: torch.device) -> Tensor:
    """Start to copy an array to a device; only from pinned memory can the copy run beside the calculation."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


class Padded:
    """A ranker of any architecture, padding and all."""

    unpadded = False

    def __init__(self, ranker: Ranker, device: torch.device) -> None:
        """Attends by PyTorch's fused attention where the architecture has it, else step by step."""
        encoder: Any = ranker.encoder
        self.attention = "sdpa" if encoder._supports_sdpa else "eager"
        encoder.set_attn_implementation(self.attention)
        self._function: Callable[..., Any] = ranker.tower if isinstance(ranker, StyleRanker) else ranker
        self._device = device

    def __call__(self, outputs: Sequence[str], feeds: Feeds) -> list[Tensor]:
        """Start on a batch."""
        found = self._function(**{name: moved(array, self._device) for name, array in feeds.items()})
        return [getattr(found, name) for name in outputs]


class Unpadded:
    """A ranker whose encoder gets the real tokens of a batch as one row."""

    unpadded = True

    def __init__(self, ranker: Ranker, device: torch.device, dtype: torch.dtype) -> None:
        """Takes the encoder's pooler out: it would see the first token of the row, not of each sequence."""
        encoder: Any = ranker.encoder
        self._ranker, self._device = ranker, device
        self._pooler = getattr(encoder, "pooler", None)
        encoder.pooler = None
        width = encoder.config.hidden_size // encoder.config.num_attention_heads
        self._attend = best_kernel(device, dtype, width)
        self.attention = self._attend.__name__
        table = getattr(encoder.embeddings, "position_embeddings", None)
        self._padding: int | None = getattr(table, "padding_idx", None)
        install(encoder)

    def __call__(self, outputs: Sequence[str], feeds: Feeds) -> list[Tensor]:
        """Start on a batch; what is not asked for is not calculated."""
        rows, starts = pack(feeds, self._padding)
        longest = int(np.diff(starts).max())
        segments = Segments(moved(starts, self._device), longest, rows.shape[1])
        states = self._states(moved(rows, self._device).long(), segments)
        made = self._made(states, segments)
        return [made[name]() for name in outputs]

    def _states(self, rows: Tensor, segments: Segments) -> Tensor:
        """Encode the tokens: (2 or 3, T) -> (T, H) in fp32."""
        names = ("input_ids", "position_ids", "token_type_ids")
        fed = {name: row[None] for name, row in zip(names, rows, strict=False)}
        out = self._ranker.encoder(**fed, attend=self._attend, segments=segments)
        states: Tensor = out.last_hidden_state[0]
        return states.float()

    def _made(self, states: Tensor, segments: Segments) -> Mapping[str, Callable[[], Tensor]]:
        ranker = self._ranker
        if isinstance(ranker, BareEncoder):
            return {"embedding": lambda: segments.mean(states)}
        if isinstance(ranker, CrossEncoder):
            pooling = ranker.shape.pooling
            return {
                "score": lambda: ranker.logit(self._vector(states, segments, pooling)),
                "embedding": lambda: segments.mean(states),
            }
        return {
            "pooled": lambda: self._vector(states, segments, ranker.pooling),
            "form": lambda: segments.highest(states),
            "mean": lambda: segments.mean(states),
        }

    def _vector(self, states: Tensor, segments: Segments, pooling: str) -> Tensor:
        """Give what stands for each sequence, (N, H)."""
        if pooling == "mean":
            return segments.mean(states)
        first = states[segments.starts[:-1]]
        return first if pooling == "first_token" else cast(nn.Module, self._pooler)(first[:, None])


def pack(feeds: Feeds, padding: int | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Take the padding out of a batch: ids, positions and, where fed, types, (2 or 3, T); and the starts, (N + 1,)."""
    real = feeds["attention_mask"].astype(bool)
    starts = np.concatenate([[0], real.sum(axis=1).cumsum()]).astype(np.int32)
    ids = feeds["input_ids"][real]
    rows = [ids, positions(ids, starts, padding)]
    if "token_type_ids" in feeds:
        rows.append(feeds["token_type_ids"][real])
    return np.stack(rows).astype(np.int32), starts


def positions(ids: NDArray[Any], starts: NDArray[np.int32], padding: int | None) -> NDArray[Any]:
    """Number the tokens of each sequence from 0.

    RoBERTa and its kin number them from `padding` + 1 and leave out tokens with the padding's id, which a text can
    hold when it spells it: they all stand at `padding`.
    """
    counted = np.ones(len(ids), dtype=np.int64) if padding is None else (ids != padding).astype(np.int64)
    before = np.concatenate([[0], counted.cumsum()])
    number: NDArray[Any] = before[1:] - np.repeat(before[starts[:-1]], np.diff(starts))
    return number - 1 if padding is None else number * counted + padding

"""Attention over sequences that stand one after the other in one row, without padding.

T tokens of N sequences; a query, key or value is (T, heads, width of a head).
"""

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "scar_varlen"
"""Our attention's name in transformers. It has no entry among the makers of masks, so that none is made."""
AMPERE = (8, 0)
"""The oldest GPUs that the FlashAttention kernels run on."""


@dataclass(frozen=True)
class Segments:
    """Where the sequences of a row of tokens begin and end."""

    starts: Tensor
    """(N + 1,) int32: the first token of each sequence, and the number of tokens."""
    longest: int
    """Tokens of the longest sequence; known on the host, so that the device need not be waited for."""
    tokens: int

    @cached_property
    def lengths(self) -> Tensor:
        """Tokens of each sequence, (N,)."""
        return self.starts.diff().long()

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """The sequence of each token and its place there, both (T,)."""
        numbers = torch.arange(len(self.lengths), device=self.starts.device)
        sequence = torch.repeat_interleave(numbers, self.lengths, output_size=self.tokens)
        return sequence, torch.arange(self.tokens, device=self.starts.device) - self.starts[sequence]

    def mask(self, window: int | None) -> Tensor:
        """Tell which keys a query of the padded sequences sees: (N, 1, 1 or longest, longest)."""
        places = torch.arange(self.longest, device=self.starts.device)
        seen = (places < self.lengths[:, None])[:, None, None]
        return seen if window is None else seen & ((places - places[:, None]).abs() <= window)

    def mean(self, states: Tensor) -> Tensor:
        """Take the mean over the tokens of each sequence: (T, H) -> (N, H)."""
        return self._reduced(states, "mean")

    def highest(self, states: Tensor) -> Tensor:
        """Take the maximum over the tokens of each sequence: (T, H) -> (N, H)."""
        return self._reduced(states, "max")

    def _reduced(self, states: Tensor, how: str) -> Tensor:
        # Unlike a scattered sum this adds in the order of the tokens, the same in every run. `unsafe` leaves out a
        # check of the lengths that would wait for the device.
        reduced: Tensor = cast(Any, torch).segment_reduce(states, how, lengths=self.lengths, unsafe=True)
        return reduced


Kernel = Callable[[Tensor, Tensor, Tensor, Segments, int | None], Tensor]
"""Attention of query, key and value over segments; the last is how far a token sees to each side, None without end."""


def padded_attention(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, window: int | None
) -> Tensor:
    """Attend by PyTorch's attention over padded sequences: any device, any precision. Padding ends where it began."""
    places = segments.places
    shape = (len(segments.lengths), segments.longest, *query.shape[1:])
    q, k, v = (part.new_zeros(shape).index_put_(places, part).transpose(1, 2) for part in (query, key, value))
    seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=segments.mask(window))
    return seen.transpose(1, 2)[places]


def torch_attention(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, window: int | None
) -> Tensor:
    """Attend by the variable-length attention of PyTorch: CUDA, bf16 and fp16."""
    from torch.nn.attention.varlen import varlen_attn

    starts, longest = segments.starts, segments.longest
    sides = (-1, -1) if window is None else (window, window)
    return cast(Tensor, varlen_attn(query, key, value, starts, starts, longest, longest, window_size=sides))


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, window: int | None
) -> Tensor:
    """Attend by the library flash-attn: CUDA, bf16 and fp16."""
    from flash_attn import flash_attn_varlen_func

    starts, longest = segments.starts, segments.longest
    sides = (-1, -1) if window is None else (window, window)
    return cast(
        Tensor,
        flash_attn_varlen_func(query, key, value, starts, starts, longest, longest, window_size=sides),
    )


def best_kernel(device: torch.device, dtype: torch.dtype, width: int) -> Kernel:
    """Give the fastest attention for heads of a width on a device."""
    reduced = device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)
    if not reduced or width % 8 or width > 256 or torch.cuda.get_device_capability(device) < AMPERE:
        return padded_attention
    if importlib.util.find_spec("flash_attn"):
        return flash_attention
    return torch_attention if _has_windows() else padded_attention


def _has_windows() -> bool:
    """Tell whether PyTorch's variable-length attention takes windows; its first releases do not."""
    from torch.nn.attention.varlen import varlen_attn

    return "window_size" in inspect.signature(varlen_attn).parameters


def install(encoder: nn.Module) -> None:
    """Have an encoder attend by the `attend` and `segments` that its forward is given."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
    cast(Any, encoder).set_attn_implementation(NAME)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: None, **given: Any
) -> tuple[Tensor, None]:
    """Attend as transformers asks for it: (1, heads, T, width) -> (1, T, heads, width).

    The encoders of the table all scale by the root of the width, as the kernels do of themselves.
    """
    rows = [part[0].transpose(0, 1) for part in (query, key, value)]
    sliding = given.get("sliding_window")
    # transformers counts the token itself; the kernels count those to one side.
    window = None if sliding is None else sliding - 1
    return given["attend"](*rows, given["segments"], window).unsqueeze(0), None

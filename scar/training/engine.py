"""The reference engine: a StyleRanker in torch behind the same interface as the exported graphs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scar.serving.towers import Towers
from scar.training.style import StyleRanker


class TorchEngine:
    """Runs a function of tensors as an engine, in evaluation mode and fp32."""

    name = "torch"
    precision = "fp32"

    def __init__(self, function: Callable[..., Mapping[str, Tensor]], device: torch.device) -> None:
        """`function` takes the feeds by name and gives the outputs by name."""
        self._function = function
        self._device = device

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the function without gradients."""
        with torch.inference_mode():
            result = self._function(**{k: torch.from_numpy(v).to(self._device) for k, v in feeds.items()})
        return [result[name].cpu().numpy() for name in outputs]


def torch_towers(
    ranker: StyleRanker, pad_id: int, batch_tokens: int, device: torch.device | None = None
) -> Towers:
    """Put a ranker in evaluation mode and give it the interface of the exported graphs."""
    device = device or torch.device("cpu")
    ranker.eval().to(device)
    return Towers(
        TorchEngine(
            lambda input_ids, attention_mask: ranker.tower(input_ids, attention_mask)._asdict(), device
        ),
        TorchEngine(lambda **feeds: {"score": ranker(**feeds)}, device),
        pad_id,
        batch_tokens,
    )

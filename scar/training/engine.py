"""The reference engine: a ranker in torch behind the same interface as the exported graphs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from scar.bundle import GRAPHS
from scar.serving.cross import Cross
from scar.serving.engines import Arrays, Feeds
from scar.serving.models import Model
from scar.serving.towers import Towers
from scar.training.bare import BareEncoder
from scar.training.cross import CrossEncoder
from scar.training.style.model import StyleRanker

Ranker = StyleRanker | CrossEncoder | BareEncoder


class TorchEngine:
    """Runs a function of tensors as an engine, in evaluation mode and fp32."""

    name = "torch"
    precision = "fp32"

    def __init__(self, function: Callable[..., Mapping[str, Tensor]], device: torch.device) -> None:
        """`function` takes the feeds by name and gives the outputs by name."""
        self._function = function
        self._device = device

    def run(self, outputs: Sequence[str], feeds: Feeds) -> Arrays:
        """Run the function without gradients."""
        with torch.inference_mode():
            result = self._function(**{k: torch.from_numpy(v).to(self._device) for k, v in feeds.items()})
        return [result[name].cpu().numpy() for name in outputs]

    def stream(self, outputs: Sequence[str], batches: Iterable[Feeds]) -> Iterator[Arrays]:
        """Run batches one after the other."""
        return (self.run(outputs, feeds) for feeds in batches)


def torch_model(ranker: Ranker, pad_id: int, batch_tokens: int, device: torch.device | None = None) -> Model:
    """Put a ranker in evaluation mode and give it the interface of its exported graphs."""
    device = device or torch.device("cpu")
    ranker.eval().to(device)
    if not isinstance(ranker, StyleRanker):
        judge = TorchEngine(lambda **feeds: ranker(**feeds)._asdict(), device)
        return Cross(judge, pad_id, batch_tokens, GRAPHS[ranker.kind].says)
    tower = TorchEngine(lambda **feeds: ranker.tower(**feeds)._asdict(), device)
    head = TorchEngine(lambda **feeds: {"score": ranker(**feeds)}, device)
    return Towers(tower, head, pad_id, batch_tokens)

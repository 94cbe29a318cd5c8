"""PyTorch, on a GPU: the ranker itself in place of its graph. Imports torch only when it is opened."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scar.errors import InputError
from scar.serving.engines.engine import Arrays, Feeds

Launch = Callable[[Sequence[str], Feeds], Callable[[], Arrays]]
"""Starts on a batch, and gives what waits for its results."""
AHEAD = 2
"""Batches on the device while the next one is packed: one that it works on, one that it goes on with at once."""


def open_torch(folder: Path, precision: str, device: str) -> "list[Torch]":
    """Open a bundle's ranker: tower and head of a style ranker, one engine of the others.

    Raises InputError where torch, the device or the precision is not to be had.
    """
    try:
        from scar.training.launch import open_ranker
    except ImportError as error:
        raise InputError(
            f"--engine torch: {error.name} is not installed: pip install 'scar-rank[train]'"
        ) from None
    return open_ranker(folder, precision, device)


@dataclass
class Torch:
    """A part of a ranker on a device, ready to run."""

    launch: Launch
    precision: str
    attention: str
    """The kernel that attends."""
    unpadded: bool
    """Whether the encoder gets no padding; relative attention biases (DeBERTa, MPNet) need it."""
    name: str = "torch"

    def run(self, outputs: Sequence[str], feeds: Feeds) -> Arrays:
        """Run one batch."""
        return self.launch(outputs, feeds)()

    def stream(self, outputs: Sequence[str], batches: Iterable[Feeds]) -> Iterator[Arrays]:
        """Run batches; those to come are packed and copied while the device works on those before."""
        waiting: deque[Callable[[], Arrays]] = deque()
        for feeds in batches:
            waiting.append(self.launch(outputs, feeds))
            if len(waiting) >= AHEAD:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()

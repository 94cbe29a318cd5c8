"""What every engine is: a graph that runs one batch, or a stream of them with several under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = Callable[[int, int], None]
"""Told after every batch: real tokens, and tokens with padding."""
Feeds = Mapping[str, NDArray[Any]]
"""What a graph is fed, by the name of the input."""
Arrays = list[NDArray[np.float32]]


class Engine(Protocol):
    """One graph, ready to run."""

    name: str
    precision: str

    def run(self, outputs: Sequence[str], feeds: Feeds) -> Arrays:
        """Give the named outputs for the feeds."""
        ...

    def stream(self, outputs: Sequence[str], batches: Iterable[Feeds]) -> Iterator[Arrays]:
        """Give the named outputs for each batch, in the order of the batches; several may run at a time."""
        ...


def in_order(run: Callable[[Feeds], Arrays], batches: Iterable[Feeds], requests: int) -> Iterator[Arrays]:
    """Run batches with `requests` of them under way, and give their results in the order of the batches.

    As many again wait, ready to run; no more are made until one is done, so memory does not grow with the stream.
    """
    if requests == 1:
        yield from map(run, batches)
        return
    waiting: deque[Future[Arrays]] = deque()
    with ThreadPoolExecutor(max_workers=requests) as threads:
        for feeds in batches:
            waiting.append(threads.submit(run, feeds))
            if len(waiting) >= 2 * requests:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

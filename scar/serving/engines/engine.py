"""What every engine is: a graph that runs one batch, or a stream of them with several under way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scar.stages import map_ahead

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


class InFlight:
    """Runs batches with some of them under way at a time, however many streams they come from."""

    def __init__(self, requests: int) -> None:
        """`requests` batches run at a time; as many again wait, made and ready."""
        self._depth = 2 * requests
        # The engine's own threads: where two chunks overlap, the next one's batches fill the gaps of the first.
        self._threads = ThreadPoolExecutor(requests, thread_name_prefix="engine")

    def stream(self, run: Callable[[Feeds], Arrays], batches: Iterable[Feeds]) -> Iterator[Arrays]:
        """Give the results of the batches in their order; no more are made than can run soon."""
        return map_ahead(self._threads, run, batches, self._depth)

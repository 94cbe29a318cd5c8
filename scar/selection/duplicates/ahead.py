"""Put texts into blocks, and work on blocks in threads while more are read. Knows nothing of what is done to them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_CHARACTERS = 1 << 18
"""Characters of texts in a block: what is made of them stays in the processor's cache."""
_THREADS = 2

T = TypeVar("T")
R = TypeVar("R")


def blocks(texts: Iterable[str], characters: int = _CHARACTERS) -> Iterator[list[str]]:
    """Put texts together until they have so many characters."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text) + 1
        if size >= characters:
            yield block
            block, size = [], 0
    if block:
        yield block


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Do work in threads while the items are read; results in the items' order, few of them in memory."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

"""Stages of a pipeline, each in threads of its own, with a bounded number of items between them. Knows no pool."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def read_ahead(source: Iterable[T], depth: int) -> Generator[T]:
    """Run an iterator in one thread, at most `depth` items ahead; its errors are raised here."""
    iterator, end = iter(source), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting = deque(thread.submit(next, iterator, end) for _ in range(depth))
        try:
            while (value := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, iterator, end))
                yield value  # type: ignore[misc]
        finally:
            # Who stops early does not wait for items that nobody will take.
            for future in waiting:
                future.cancel()


def map_ahead(pool: Executor, function: Callable[[S], T], items: Iterable[S], depth: int) -> Iterator[T]:
    """Map items in a pool, `depth` of them under way, and give the results in the order of the items.

    The next item is taken only when a result was: what is slow behind holds up what is fast before. What waits when the
    iterator is closed, or an item fails, is not begun.
    """
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()

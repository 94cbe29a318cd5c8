"""Run sequences through a graph batch by batch; where memory runs out, in smaller batches. Nothing is lost."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scar.errors import RunError
from scar.serving.engines import Arrays, Engine, Feeds
from scar.serving.engines.memory import TokenBudget, is_out_of_memory
from scar.tokens import TokenLists

Texts = NDArray[np.int64]
"""Numbers of the sequences of a batch."""
TRIES, PAUSE = 3, 0.2
"""How often, and seconds between: batches that were under way beside a failed one may hold memory a while yet."""


def run_batches(
    engine: Engine,
    outputs: Sequence[str],
    tokens: TokenLists,
    batches: Iterable[Texts],
    *,
    pad_id: int,
    budget: TokenBudget,
    width: int = 0,
) -> Iterator[tuple[Texts, Arrays]]:
    """Give the named outputs of each batch, padded to at least `width`; several batches may be under way.

    Where memory runs out the budget is halved, and what has no result yet is run again in batches that fit it. Raises
    RunError where one sequence alone does not fit, or where a batch has more or fewer results than sequences.
    """
    source = iter(batches)
    while True:
        fed: deque[Texts] = deque()
        before = budget.tokens
        try:
            feeds = (tokens.feeds(texts, pad_id, width) for texts in _noted(source, fed))
            for some in engine.stream(outputs, feeds):
                yield _counted(fed.popleft(), some)
            if fed:
                raise RunError(f"the engine gave no results for {len(fed)} batches")
            return
        except Exception as error:  # the libraries share no class of error
            if not is_out_of_memory(error):
                raise
            why = _told(error)
        # Out of the block above: an error keeps what its frames hold.
        left = [*fed, *source]
        longest = max(width, int(tokens.lengths[left[0]].max(initial=1)))
        if len(left[0]) == 1 and before <= longest:
            alone = left.pop(0)
            yield _counted(alone, _alone(engine, outputs, tokens.feeds(alone, pad_id, width), budget))
        else:
            budget.halve(before, why)
        source = _fitting(left, tokens.lengths, width, budget)


def _noted(source: Iterable[Texts], fed: deque[Texts]) -> Iterator[Texts]:
    """Give the batches on, and note them: their results come in this order."""
    for texts in source:
        fed.append(texts)
        yield texts


def _counted(texts: Texts, some: Arrays) -> tuple[Texts, Arrays]:
    for array in some:
        if array.shape[:1] != texts.shape:
            raise RunError(f"the engine gave results of shape {array.shape} for {len(texts)} sequences")
    return texts, some


def _alone(engine: Engine, outputs: Sequence[str], feeds: Feeds, budget: TokenBudget) -> Arrays:
    """Run one sequence with nothing else of the stream beside it."""
    for _ in range(TRIES):
        try:
            return engine.run(outputs, feeds)
        except Exception as error:  # the libraries share no class of error
            if not is_out_of_memory(error):
                raise
            why = _told(error)
        time.sleep(PAUSE)
    raise RunError(
        f"out of memory on one sequence of {feeds['input_ids'].shape[1]} tokens alone, --batch_tokens {budget.tokens} "
        f"({why}): it needs more memory, fewer --threads or --workers, or another --device"
    )


def _fitting(
    batches: Iterable[Texts], lengths: NDArray[np.int64], width: int, budget: TokenBudget
) -> Iterator[Texts]:
    """Cut batches into parts that fit the budget as it is when each is made."""
    for texts in batches:
        start = 0
        while start < len(texts):
            longest = max(width, int(lengths[texts[start:]].max(initial=1)))
            size = max(1, budget.tokens // longest)
            yield texts[start : start + size]
            start += size


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__

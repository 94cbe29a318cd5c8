"""What each worker process has of the machine. Knows no engine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from scar.errors import InputError
from scar.serving.engines import processors


@dataclass(frozen=True)
class Share:
    """What one worker has of the machine."""

    threads: int
    processors: Sequence[int] = ()
    """Numbers of the processors that it keeps; empty where a quota, not an affinity, is the limit."""


def share_out(workers: int) -> list[Share]:
    """Deal this process's processors out. Raises InputError where there are fewer than workers."""
    have = processors()
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(own) == have:
        return [Share(len(numbers), numbers) for numbers in deal(own, workers)]
    # By a quota every container of a host would be pinned to its first processors.
    return [Share(len(numbers)) for numbers in deal(range(have), workers)]


def deal(numbers: Sequence[int], workers: int) -> list[Sequence[int]]:
    """Cut a list of processors into neighbouring shares whose sizes differ by one at most."""
    if workers > len(numbers):
        raise InputError(f"--workers {workers}: there are {len(numbers)} processors for them")
    ends = [len(numbers) * n // workers for n in range(workers + 1)]
    return [numbers[start:end] for start, end in zip(ends, ends[1:], strict=False)]

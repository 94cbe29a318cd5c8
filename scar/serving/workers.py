"""Score chunks in several processes, each with its own processors, tokenizer and engines."""

import multiprocessing
import os
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue

from scar.errors import InputError, RunError
from scar.serving.answers import encode_records
from scar.serving.engines import processors
from scar.serving.pipeline import READ_AHEAD, Meter, Scored, Work, score_all
from scar.serving.scorer import Scorer
from scar.serving.stages import map_ahead, read_ahead

_scorers: list[Scorer] = []
"""Of a worker process."""


@dataclass(frozen=True)
class Workers:
    """Scores chunks in `shares` processes. Each gets its processors once, and keeps them."""

    scorers: Sequence[Scorer]
    shares: Sequence[Sequence[int]]
    """Numbers of the processors of each worker."""

    @classmethod
    def of(cls, scorers: Sequence[Scorer], workers: int) -> "Workers":
        """Deal this process's processors out. Raises InputError where there are fewer than workers."""
        return cls(scorers, deal(_own(), workers))

    def run(self, works: Iterable[Work]) -> Generator[Scored]:
        """Score chunks; they come out in order, each scored whole by one worker."""
        context = multiprocessing.get_context("spawn")
        shares: Queue[Sequence[int]] = context.Queue()
        for share in self.shares:
            shares.put(share)
        threads = min(map(len, self.shares))
        scorers = [
            (scorer.bundle, scorer.choice, replace(scorer.scoring, threads=threads, workers=1))
            for scorer in self.scorers
        ]
        pool = ProcessPoolExecutor(len(self.shares), context, _start, (shares, scorers))
        try:
            yield from map_ahead(pool, _score, read_ahead(works, READ_AHEAD), len(self.shares) + READ_AHEAD)
        except BrokenProcessPool:
            raise RunError(
                "a worker process died: out of memory, or killed; fewer --workers need less memory"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def deal(numbers: Sequence[int], workers: int) -> list[Sequence[int]]:
    """Cut a list of processors into neighbouring shares whose sizes differ by one at most."""
    if workers > len(numbers):
        raise InputError(f"--workers {workers}: there are {len(numbers)} processors for them")
    ends = [len(numbers) * n // workers for n in range(workers + 1)]
    return [numbers[start:end] for start, end in zip(ends, ends[1:], strict=False)]


def _own() -> list[int]:
    """Give the numbers of this process's processors, no more than its control group grants."""
    have = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(processors()))
    return have[: processors()]


def _start(shares: "Queue[Sequence[int]]", scorers: Sequence[tuple]) -> None:  # type: ignore[type-arg]
    """Begin a worker: pin it before any library starts its threads, then open the graphs."""
    share = shares.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
    # The tokenizers library counts the machine's processors, not ours.
    os.environ["RAYON_NUM_THREADS"] = str(len(share))
    _scorers.extend(Scorer.chosen(*scorer) for scorer in scorers)


def _score(work: Work) -> Scored:
    meter = Meter()
    encoded = encode_records([scorer.encoder for scorer in _scorers], work.records)
    scores = score_all(_scorers, work.chunk, encoded, lambda tokens, padded: meter.add(Meter(tokens, padded)))
    return Scored(work.chunk, work.items, scores, meter)

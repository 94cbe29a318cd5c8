"""Score chunks in several processes, each with its own processors, tokenizer and engines."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue

from scar.bundle import Bundle
from scar.errors import InputError, RunError
from scar.serving.answers import encode_records
from scar.serving.choice import Choice
from scar.serving.engines import processors
from scar.serving.pipeline import READ_AHEAD, Meter, Scored, Work, score_all
from scar.serving.scorer import Scorer
from scar.serving.stages import map_ahead, read_ahead
from scar.settings import Scoring

_scorers: list[Scorer] = []
"""Of a worker process."""
_trouble: list[str] = []
"""What kept this worker process from starting."""


@dataclass(frozen=True)
class Share:
    """What one worker has of the machine."""

    threads: int
    processors: Sequence[int] = ()
    """Numbers of the processors that it keeps; empty where a quota, not an affinity, is the limit."""


@dataclass(frozen=True)
class Workers:
    """Scores chunks in processes, one for each share of the processors."""

    scorers: Sequence[Scorer]
    shares: Sequence[Share]

    def run(self, works: Iterable[Work]) -> Generator[Scored]:
        """Score chunks; they come out in order, each scored whole by one worker."""
        context = multiprocessing.get_context("spawn")
        shares: Queue[Share] = context.Queue()
        for share in self.shares:
            shares.put(share)
        scorers = [(scorer.bundle, scorer.choice, scorer.scoring) for scorer in self.scorers]
        pool = ProcessPoolExecutor(len(self.shares), context, _start, (shares, scorers))
        done = False
        try:
            with closing(read_ahead(works, READ_AHEAD)) as ahead:
                yield from map_ahead(pool, _score, ahead, len(self.shares) + READ_AHEAD)
            done = True
        except BrokenProcessPool:
            raise RunError(
                "a worker process died: out of memory, or killed; fewer --workers need less memory. "
                "In a script, call from under `if __name__ == '__main__':`"
            ) from None
        finally:
            if not done:
                # Who stops early does not wait for chunks.
                for process in list((pool._processes or {}).values()):
                    process.terminate()
            pool.shutdown(cancel_futures=True)


def shares(workers: int) -> list[Share]:
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


def _start(dealt: "Queue[Share]", scorers: Sequence[tuple[Bundle, Choice, Scoring]]) -> None:
    """Begin a worker: pin it before any library starts its threads, then open the graphs."""
    # Ctrl-C reaches the whole group of processes: the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    share = dealt.get()
    if share.processors:
        os.sched_setaffinity(0, share.processors)
    # The tokenizers library counts the machine's processors, not ours.
    os.environ["RAYON_NUM_THREADS"] = str(share.threads)
    try:
        for bundle, choice, scoring in scorers:
            _scorers.append(Scorer.chosen(bundle, choice, replace(scoring, threads=share.threads, workers=1)))
    except (InputError, RuntimeError, OSError) as error:
        _trouble.append(str(error))


def _end_with_parent() -> None:
    """End this process when the one that started it has gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _score(work: Work) -> Scored:
    if _trouble:
        raise RunError(f"a worker could not start: {_trouble[0]}")
    meter = Meter()
    encoded = encode_records([scorer.encoder for scorer in _scorers], work.records)
    scores = score_all(_scorers, work.chunk, encoded, lambda tokens, padded: meter.add(Meter(tokens, padded)))
    return Scored(work.chunk, work.items, scores, meter)

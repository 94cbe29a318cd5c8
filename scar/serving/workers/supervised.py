"""Score chunks in processes, each with its own processors, tokenizer and engines; what dies is replaced."""

import logging
import multiprocessing
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from queue import SimpleQueue

from scar.errors import RunError
from scar.serving.pipeline import READ_AHEAD, Failed, Meter, Scored, Work, refuse_non_finite, where
from scar.serving.workers.messages import Answer, Done
from scar.serving.workers.pieces import Piece, joined, joined_rows, too_many, without
from scar.serving.workers.process import Died, Hung, Lost, Process
from scar.serving.workers.shares import Share
from scar.serving.workers.worker import Specs, Task
from scar.stages import map_ahead, read_ahead

log = logging.getLogger("scar")
RETRIES = 3
"""How often a chunk is tried again after a worker hung on it."""
BACKOFF = 1.0
"""Seconds before the first such retry; twice as long before each further one."""
OnBatch = Callable[[float, int, int], None]


class Workers:
    """Scores chunks in processes, one for each share of the processors. For one run."""

    def __init__(self, specs: Specs, shares: Sequence[Share], on_batch: OnBatch, stall: float) -> None:
        """`on_batch` is told of each batch, as that of `Threads`; a worker that is silent for `stall` seconds hangs.

        What was told of a chunk that must be tried again is taken back by negative numbers.
        """
        context = multiprocessing.get_context("spawn")
        self._processes = [Process(context, share, specs, stall) for share in shares]
        self._on_batch = on_batch
        self._stall = stall
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._idle: SimpleQueue[Process] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        # A worker ends with the thread that started it, so these stay until all is over.
        self._threads = ThreadPoolExecutor(len(self._processes), thread_name_prefix="worker")
        self._watchdog = threading.Thread(target=self._watch, daemon=True)

    def begin(self) -> "Workers":
        """Watch over the processes from now on, until `close`."""
        self._watchdog.start()
        return self

    def close(self) -> None:
        """End all processes; who stops early does not wait for chunks."""
        self._stopped.set()
        for process in self._processes:
            process.close()
        self._threads.shutdown(cancel_futures=True)
        self._watchdog.join()

    def run(self, works: Iterable[Work]) -> Generator[Scored | Failed]:
        """Score chunks, from beginning to close; they come out in order, each scored whole by one worker."""
        with closing(read_ahead(works, READ_AHEAD)) as ahead, closing(self.begin()):
            yield from map_ahead(self._threads, self._score, ahead, len(self._processes) + READ_AHEAD)

    def score(self, work: Work) -> Scored | Failed:
        """Score one chunk, between `begin` and `close`; several threads may ask at once."""
        return self._threads.submit(self._score, work).result()

    def _watch(self) -> None:
        """End processes that hang."""
        pause = min(1.0, self._stall / 4)
        before = time.monotonic()
        while not self._stopped.wait(pause):
            now = time.monotonic()
            for process in self._processes:
                if now - before > 10 * pause:
                    process.spare()  # it was this process that was stopped: by Ctrl-Z, say
                process.watch()
            before = now

    def _score(self, work: Work) -> Scored | Failed:
        with self._borrowed() as process:
            return _Attempt(work, process, self._told, self._stopped.wait).score()

    @contextmanager
    def _borrowed(self) -> Iterator[Process]:
        process = self._idle.get()
        try:
            yield process
        finally:
            self._idle.put(process)

    def _told(self, rows: float, tokens: int, padded: int) -> None:
        with self._lock:
            self._on_batch(rows, tokens, padded)


class _Attempt:
    """A chunk on its way through one worker, whatever becomes of that."""

    def __init__(
        self, work: Work, process: Process, on_batch: OnBatch, wait: Callable[[float], object]
    ) -> None:
        self._work, self._process, self._on_batch, self._wait = work, process, on_batch, wait
        self._meter = Meter()
        self._hung = 0

    def score(self) -> Scored | Failed:
        """Score the chunk; the records that kill the worker are set aside, and of one that hangs nothing is left."""
        todo = [Piece(0, len(self._work.records))]
        answers: list[Answer] = []
        crashed: dict[int, str] = {}
        while todo:
            piece = todo.pop()
            try:
                answers.append(self._ask(piece))
            except Hung as hung:
                if self._hung > RETRIES:
                    return Failed(self._work.chunk, f"a worker hung on it {self._hung} times ({hung})")
                todo.append(piece)
            except Died as died:
                rest = piece.after_crash()
                todo += reversed(rest)
                if not rest:
                    self._give_up(piece, crashed, str(died))
        try:
            return self._scored(answers or [self._ask(Piece(0, 0))], crashed)
        except Lost as lost:
            return Failed(self._work.chunk, f"a worker died of no record at all ({lost})")

    def _scored(self, answers: Sequence[Answer], crashed: dict[int, str]) -> Scored:
        scores = joined([answer.scores for answer in answers])
        embeddings = joined_rows([answer.embeddings for answer in answers])
        refuse_non_finite(self._work.chunk, scores, embeddings)
        for answer in answers:
            self._meter.add(Meter(batch_tokens=answer.batch_tokens))
        items = without(self._work.items, crashed)
        return Scored(self._work.chunk, items, scores, self._meter, embeddings)

    def _ask(self, piece: Piece) -> Answer:
        """Have a piece scored. Raises Died or Hung, after what its batches told was taken back."""
        told = [0.0, 0, 0]
        rows = self._work.chunk.rows * len(piece) / max(1, len(self._work.records))

        def on_done(done: Done) -> None:
            for place, number in enumerate((rows * done.share, done.tokens, done.padded)):
                told[place] += number
            self._on_batch(rows * done.share, done.tokens, done.padded)

        try:
            answer = self._process.ask(
                Task(self._work.chunk, self._work.records[piece.start : piece.stop]), on_done
            )
        except Lost as lost:
            self._on_batch(-told[0], -int(told[1]), -int(told[2]))
            self._mourn(piece, lost)
            raise
        self._meter.add(Meter(int(told[1]), int(told[2])))
        return answer

    def _mourn(self, piece: Piece, lost: Lost) -> None:
        """Log the loss of a worker; after one that hung, wait a while."""
        log.warning(
            "%s, records %d to %d: a worker %s (%s); another takes its place",
            where(self._work.chunk),
            piece.start,
            piece.stop - 1,
            "hung" if isinstance(lost, Hung) else "died",
            lost,
        )
        if isinstance(lost, Hung):
            self._wait(BACKOFF * 2**self._hung)
            self._hung += 1

    def _give_up(self, piece: Piece, crashed: dict[int, str], how: str) -> None:
        """Set a record aside; RunError where it is not the records that kill."""
        crashed[piece.start] = how
        if not len(piece) or too_many(len(crashed), len(self._work.records)):
            raise RunError(
                f"{where(self._work.chunk)}: workers died of {len(crashed)} single records ({how}): out of memory, or "
                "killed? Fewer --workers or --batch_tokens need less memory; nothing of this chunk was written"
            )

"""What runs in a worker process: its own tokenizer and engines, records in, scores out."""

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TypeVar

from scar.bundle import Bundle
from scar.errors import InputError
from scar.files import sha256
from scar.pools import Chunk
from scar.records import Record
from scar.serving.choice import Choice
from scar.serving.crew import Crew
from scar.serving.embedder import Embedder
from scar.serving.opened import Settled
from scar.serving.pipeline import budgets, say_all
from scar.serving.scorer import Scorer
from scar.serving.workers.messages import Answer, Done, Logged, Message, Ready, Trouble
from scar.serving.workers.shares import Share
from scar.settings import Scoring

T = TypeVar("T")
PR_SET_PDEATHSIG = 1
MASKED = {
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
}
"""Signals that reach a whole group of processes: Ctrl-C, and what batch systems send."""


@dataclass(frozen=True)
class Specs:
    """What a crew is loaded from."""

    rankers: Sequence[Settled]
    encoder: Settled | None = None
    embeds: bool = False


@dataclass(frozen=True)
class Task:
    """Records of a chunk."""

    chunk: Chunk
    records: Sequence[Record]


def work(pipe: "Connection[Message, Task]", share: Share, specs: Specs) -> None:
    """Open the graphs, then score what comes through the pipe until it is closed."""
    _belong_to_parent()
    _settle(share)
    tell = _Tell(pipe)
    _log_through(tell)
    try:
        mine = _load(specs, share)
    except Exception as error:  # every kind: it is raised where the run is
        tell(Trouble.of(error))
        return
    tell(Ready())
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            tell(_answer(mine, task, tell))
        except Exception as error:  # every kind: it is raised where the run is
            tell(Trouble.of(error))


def _load(specs: Specs, share: Share) -> Crew:
    """Load the crew, its threads those of the share."""
    scorers = [_loaded(Scorer.chosen, spec, share) for spec in specs.rankers]
    embedder = _loaded(Embedder.chosen, specs.encoder, share) if specs.encoder else None
    return Crew(scorers, embedder, specs.embeds)


def _loaded(load: Callable[[Bundle, Choice, Scoring], T], spec: Settled, share: Share) -> T:
    model = load(spec.bundle, spec.choice, replace(spec.scoring, threads=share.threads, workers=0))
    # A worker that takes a dead one's place may come days later.
    if changed := [name for name, known in spec.files.items() if sha256(spec.bundle.path / name) != known]:
        raise InputError(
            f"{spec.bundle.path / changed[0]}: changed since the run began: put the old one back, and go on"
        )
    return model


class _Tell:
    """Sends messages, from whichever thread."""

    def __init__(self, pipe: "Connection[Message, Task]") -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        with self._lock:
            self._pipe.send(message)


def _answer(crew: Crew, task: Task, tell: _Tell) -> Answer:
    tokens = crew.encode(task.records)
    total = tokens.total
    said = say_all(crew, task.chunk, tokens, lambda some, padded: tell(Done(some / total, some, padded)))
    return Answer(said.scores, budgets(crew), said.embeddings)


def _settle(share: Share) -> None:
    """Take the share of the processors, before any library starts its threads."""
    if share.processors:
        os.sched_setaffinity(0, share.processors)
    # The tokenizers library counts the machine's processors, not ours.
    os.environ["RAYON_NUM_THREADS"] = str(share.threads)


def _belong_to_parent() -> None:
    """Leave signals to the process that started this one, and end when it ends, however it does."""
    # They reach the whole group of processes: the first one decides.
    for number in MASKED:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, MASKED)
    if sys.platform == "linux":
        # Also where this process is stuck, and runs no line of Python any more.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _log_through(tell: _Tell) -> None:
    """Send what is logged here to where the run's log is."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell(Logged(record.levelno, record.getMessage()))

    log = logging.getLogger("scar")
    log.addHandler(Handler())
    log.propagate = False

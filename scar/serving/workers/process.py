"""One worker process as its owner sees it: asked, watched, ended, and started again after it died."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess

from scar.errors import RunError
from scar.serving.workers.messages import Answer, Done, Logged, Message, Trouble
from scar.serving.workers.shares import Share
from scar.serving.workers.worker import MASKED, Specs, Task, work

log = logging.getLogger("scar")
STARTS = 3
"""How often in a row a process may fail to start."""
STARTING = 300.0
"""Seconds that a process has at least to import its libraries and open its graphs: some are compiled then."""
BURIAL = 30.0
"""Seconds that a process has to end; one that waits for a disk that is gone does not, and is left behind."""
_children = threading.Lock()
"""Starting and reaping children is not for several threads at a time."""


class Lost(Exception):
    """The worker has gone, or was ended because it hung; its message says how."""


class Died(Lost):
    """The worker died by itself."""


class Hung(Lost):
    """Nothing came from the worker for so long that it was ended."""


class Stopped(RunError):
    """The run ends, and its workers with it."""


class Process:
    """A worker process. One thread asks at a time; another may watch it or close it."""

    def __init__(self, context: SpawnContext, share: Share, specs: Specs, stall: float) -> None:
        """Nothing is started before the first question; `stall` seconds without a sign end the process."""
        self._context, self._arguments, self._stall = context, (share, specs), stall
        self._patience = stall
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection[Task, Message] | None = None
        self._waiting = self._hung = self._closed = False
        self._heard = 0.0

    def ask(self, task: Task, on_done: Callable[[Done], None]) -> Answer:
        """Score records. Raises Died or Hung where the worker did not live to answer, else what it raised."""
        pipe = self._pipe or self._started()
        message = self._exchange(pipe, task)
        while not isinstance(message, Answer):
            if isinstance(message, Trouble):
                raise message.error()
            if isinstance(message, Done):
                on_done(message)
            message = self._exchange(pipe)
        return message

    def watch(self) -> None:
        """End the process if it is waited for and gave no sign for too long."""
        with self._lock:
            if self._waiting and not self._hung and time.monotonic() - self._heard > self._patience:
                self._hung = True
                self._kill()

    def spare(self) -> None:
        """Forget how long the process was silent: the watch itself was stopped meanwhile."""
        self._heard = time.monotonic()

    def close(self) -> None:
        """End the process at once, whatever it does; it is not started again."""
        with self._lock:
            self._closed = True
            self._kill()
            process = self._process
        if process:
            _bury(process)

    def _kill(self) -> None:
        if self._process:
            self._process.kill()

    def _started(self) -> "Connection[Task, Message]":
        """Start the process and wait until it is ready. Raises RunError where it cannot be."""
        self._patience = max(self._stall, STARTING)
        for _ in range(STARTS):
            pipe = self._start()
            try:
                message = self._exchange(pipe)
            except Lost as lost:
                why = str(lost)
                continue
            if isinstance(message, Trouble):
                error = message.error()
                raise RunError(f"a worker could not start: {error}") from error
            self._patience = self._stall
            return pipe
        raise RunError(
            f"worker processes cannot start ({why}, {STARTS} times): out of memory? Fewer --workers need less. "
            "In a script, call from under `if __name__ == '__main__':`"
        )

    def _start(self) -> "Connection[Task, Message]":
        mine, theirs = self._context.Pipe()
        with self._lock, _children:
            if self._closed:
                raise Stopped("stopped")
            process = self._context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
            _begin(process)
            theirs.close()  # only the worker has it now: it ends with the worker
            self._process, self._hung = process, False
        self._pipe = mine
        return mine

    def _exchange(self, pipe: "Connection[Task, Message]", task: Task | None = None) -> Message:
        """Send a task if there is one, and wait for the next message that is not for the log."""
        self._heard, self._waiting = time.monotonic(), True
        try:
            if task is not None:
                pipe.send(task)
            while isinstance(message := pipe.recv(), Logged):
                log.log(message.level, "%s", message.text)
                self._heard = time.monotonic()
        except (EOFError, OSError):
            raise self._lost() from None
        finally:
            self._waiting = False
        return message

    def _lost(self) -> Exception:
        """Bury a process whose pipe has ended, and tell how it ended."""
        assert self._process and self._pipe
        code = _bury(self._process)
        with self._lock:
            self._process = None
        self._pipe.close()
        self._pipe = None
        if self._closed:
            return Stopped("stopped")
        return Hung(f"no sign for {self._patience:g} s") if self._hung else Died(ending(code))


def _bury(process: SpawnProcess) -> int | None:
    """Wait until a process has ended, if need be by force; gives its exit code."""
    with _children:
        process.join(BURIAL)
        if process.exitcode is None:
            process.kill()  # it closed its pipe, and lives
            process.join(BURIAL)
        return process.exitcode


def _begin(process: SpawnProcess) -> None:
    """Start a process that no signal meets before it can say what it does about it."""
    if not hasattr(signal, "pthread_sigmask"):
        process.start()
        return
    resource_tracker.ensure_running()  # which takes the mask off
    before = signal.pthread_sigmask(signal.SIG_BLOCK, MASKED)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ending(code: int | None) -> str:
    """Tell how a process ended: `signal SIGSEGV` or `exit code 9`."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"

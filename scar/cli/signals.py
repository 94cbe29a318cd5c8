"""Stop by SIGTERM, SIGINT or Slurm's SIGUSR1 within seconds: what is under way is dropped, what is committed stays."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE = 8.0
"""Seconds until a stop that is stuck in a library's call ends the process; nothing committed is lost by that either."""
ECHO = 0.5
"""Seconds in which a signal that comes again is the same wish: `timeout` and terminals tell a process and its group."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(KeyboardInterrupt):
    """The process was asked to stop: whoever is ready for Ctrl-C is ready for all of them."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """What shells make of a process that a signal ended."""


class _Stopping:
    """Handles the signals: the first one raises, a second one ends the process at once."""

    def __init__(self, tell: Callable[[Stopped], int]) -> None:
        self._tell = tell
        self._asked = 0.0
        self.number: int | None = None
        self.timer: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._asked = number, now
            self.timer = threading.Timer(GRACE, self._end, [number])
            self.timer.daemon = True
            self.timer.start()
            raise Stopped(number)
        if now - self._asked > ECHO:
            os._exit(128 + number)

    def _end(self, number: int) -> None:
        os._exit(self._tell(Stopped(number)))


@contextmanager
def stopping(tell: Callable[[Stopped], int]) -> Iterator[None]:
    """Turn the first signal into `Stopped` in the main thread; a second one ends the process at once.

    A stop that finds no end in time is told by `tell`, which gives the exit code, and ends all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    stop = _Stopping(tell)
    before: dict[int, Any] = {}
    try:
        for number in SIGNALS:
            # What the caller's shell made deaf, as nohup does, stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
        yield
    except Exception:
        # What is stopped in an import, or in a library's call, can come out as an error of another name.
        if stop.number is None:
            raise
        raise Stopped(stop.number) from None
    finally:
        if stop.timer:
            stop.timer.cancel()
        for each, handler in before.items():
            signal.signal(each, handler)

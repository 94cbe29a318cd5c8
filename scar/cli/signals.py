"""Stop by SIGTERM, SIGINT or Slurm's SIGUSR1 within seconds: what is under way is dropped, what is committed stays."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE = 8.0
"""Seconds until a stop that is stuck in a library's call ends the process; nothing committed is lost by that either."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(KeyboardInterrupt):
    """The process was asked to stop: whoever is ready for Ctrl-C is ready for all of them."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """What shells make of a process that a signal ended."""


@contextmanager
def stopping() -> Iterator[None]:
    """Turn the first signal into `Stopped` in the main thread; a second one ends the process at once."""
    before: dict[int, Any] = {}
    timers: list[threading.Timer] = []

    def stop(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, lambda again, _: os._exit(128 + again))
        timer = threading.Timer(GRACE, os._exit, [128 + number])
        timer.daemon = True
        timer.start()
        timers.append(timer)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    try:
        for number in SIGNALS:
            # What the caller's shell made deaf, as nohup does, stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for each, handler in before.items():
            signal.signal(each, handler)

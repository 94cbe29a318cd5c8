"""The standard streams: there, whatever the caller closed; taking any text; in nobody's way where none reads them."""

import io
import os
import select
import sys
from typing import TextIO

NAMES = ("stdin", "stdout", "stderr")


def set_up() -> None:
    """Put /dev/null where the caller closed a stream, and let no character stop a command.

    The next file that is opened would be that stream, and whatever is printed would be written into it.
    """
    for number, name in enumerate(NAMES):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is what the system gives.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def broken(stream: TextIO) -> bool:
    """Tell whether whoever read a stream, a pipe or a socket, has gone, as in `scar ... | head`."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):
        return False  # no file of the system
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def drop(stream: TextIO) -> None:
    """Write what a stream holds; where nobody takes it, forget it: at its end Python would stumble over it."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

"""What is patched into a process so that it kills itself, or waits, at an exact step."""

import importlib
import os
import signal
import time
from pathlib import Path


def kill_at(steps, nth, number=signal.SIGKILL):
    """Send this process a signal at the nth of the steps, given as `module:function` and before or after it."""
    count = 0

    def patch(step):
        where, _, when = step.partition(" ")
        module, _, name = where.partition(":")
        holder = importlib.import_module(module)
        *path, last = name.split(".")
        for part in path:
            holder = getattr(holder, part)
        real = getattr(holder, last)

        def patched(*arguments, **named):
            nonlocal count
            count += 1
            mine = count == nth
            if mine and when != "after":
                os.kill(os.getpid(), number)
            result = real(*arguments, **named)
            if mine and when == "after":
                os.kill(os.getpid(), number)
            return result

        setattr(holder, last, patched)

    for step in steps:
        patch(step)


def wait_at(step, gate, nth=1):
    """Wait from the nth call of a step on, as long as a file stands there."""
    module, _, name = step.partition(":")
    holder = importlib.import_module(module)
    real, count = getattr(holder, name), 0

    def waiting(*arguments, **named):
        nonlocal count
        count += 1
        while count >= nth and Path(gate).exists():
            time.sleep(0.005)
        return real(*arguments, **named)

    setattr(holder, name, waiting)

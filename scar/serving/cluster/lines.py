"""Lines of an actor's log on their way to the driver: on a cluster nobody reads the files of its machines."""

import logging
from collections import deque

MOST = 100
"""Lines that wait; of more the oldest are dropped."""


class Lines(logging.Handler):
    """Keeps warnings until they are taken."""

    def __init__(self, host: str) -> None:
        super().__init__(logging.WARNING)
        self._host = host
        self._lines: deque[tuple[int, str]] = deque(maxlen=MOST)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one, with the machine that it comes from."""
        self._lines.append((record.levelno, f"on {self._host}: {record.getMessage()}"))

    def take(self) -> tuple[tuple[int, str], ...]:
        """Give those that wait, each with its level, and forget them."""
        return tuple(self._lines.popleft() for _ in range(len(self._lines)))

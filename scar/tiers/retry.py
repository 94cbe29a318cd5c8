"""How long to wait before another attempt. Pure; knows no server."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5
"""Seconds before the second attempt; each further wait is twice as long."""
LONGEST_WAIT = 30.0
LONGEST_ASKED = 60.0
"""A server may ask for this many seconds at most: a Retry-After of an hour must not look like a hang."""


def wait_before(attempt: int, asked: float | None, jitter: float) -> float:
    """Give the seconds to wait before the repeat number `attempt`, from 1.

    `jitter`, from 0 to 1, spreads requests that failed together.
    """
    own = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 20)) * (0.5 + 0.5 * jitter)
    return own if asked is None else max(own, min(asked, LONGEST_ASKED))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Read the Retry-After header, seconds or a date; None where it is absent or nonsense."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value, now or datetime.now(UTC))
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    # A date without a zone is in UTC, says the standard.
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now.timestamp()

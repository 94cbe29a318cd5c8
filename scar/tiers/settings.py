"""How the questions are asked and sent. Validated once, at the border."""

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from scar.errors import InputError

MOST_IN_FLIGHT = 1000
"""The openai client opens no more connections: further requests would time out in its queue."""
LONGEST_TIMEOUT = 86_400.0


@dataclass(frozen=True)
class Asking:
    """What a request says beside its messages."""

    model: str = ""
    """Name of the model, as its server calls it (vLLM: the served model's name)."""
    temperature: float | None = 0.0
    """Sampling temperature; null leaves it out, as reasoning models want."""
    max_tokens: int = 2048
    """Most tokens of a direct or referenced answer; one that is cut off is not used."""
    grade_tokens: int = 1024
    """Most tokens of a grade and its grounds."""
    max_completion_tokens: bool = False
    """Write the limits as max_completion_tokens, which newer OpenAI models ask for."""

    def __post_init__(self) -> None:
        """Check what can be checked without the server."""
        if not self.model.strip():
            raise InputError("--model is needed: the name of the model as its server calls it")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InputError(f"--temperature must be from 0 to 2, got {self.temperature}")
        for name in ("max_tokens", "grade_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Sending:
    """How requests are sent. The key comes from OPENAI_API_KEY and stands nowhere else."""

    base_url: str | None = None
    """Where the endpoint is, such as http://localhost:8000/v1; default: OPENAI_BASE_URL, else OpenAI's."""
    concurrency: int = 8
    """Most requests in flight."""
    retries: int = 5
    """Further attempts after a busy server, an error of its own, a timeout or a cut connection."""
    timeout: float = 120.0
    """Seconds that an attempt may take in all."""

    def __post_init__(self) -> None:
        """Check the numbers and the address."""
        if not 1 <= self.concurrency <= MOST_IN_FLIGHT:
            raise InputError(f"--concurrency must be from 1 to {MOST_IN_FLIGHT}, got {self.concurrency}")
        if self.retries < 0:
            raise InputError(f"--retries must be 0 or more, got {self.retries}")
        if not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise InputError(f"--timeout must be above 0 and at most {LONGEST_TIMEOUT:g}, got {self.timeout}")
        if self.base_url is not None:
            check_url(self.base_url, "--base-url")
        elif "OPENAI_BASE_URL" in os.environ:
            check_url(os.environ["OPENAI_BASE_URL"], "OPENAI_BASE_URL")


def check_url(url: str, name: str) -> None:
    """Refuse an address that holds a secret, or is none; the address itself is not repeated."""
    remedy = "write http(s)://HOST[:PORT]/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InputError(f"{name} is not an address: {remedy}") from None
    if "@" in parts.netloc:
        raise InputError(f"{name} holds a user or a password: {remedy} and put the key into OPENAI_API_KEY")
    if parts.query or parts.fragment:
        raise InputError(f"{name} holds a ? or a #: {remedy}")
    # The client takes hosts in ASCII, or fails on them much later.
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9._:-]+", parts.hostname or ""):
        raise InputError(f"{name} is not an address: {remedy}")

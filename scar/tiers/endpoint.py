"""One attempt at one request, through the openai client of the `tiers` extra.

The key is read from the environment here, goes to the client, and is cut out of everything that comes back.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from scar.errors import InputError
from scar.tiers.batch import first_choice
from scar.tiers.missing import shortened
from scar.tiers.retry import retry_after
from scar.tiers.settings import Sending
from scar.tiers.wire import UnreadableError, wire

if TYPE_CHECKING:
    from openai import APIStatusError

KEY = "OPENAI_API_KEY"
_NO_KEY = "none"
"""What a local server without keys is told."""
_READ = 2000
"""Characters of an answer that a message is made of."""
_SECRET_LENGTH = 16
"""A key as long as this is no word that a model's own text could hold by chance."""
_PASSING = (408, 409, 429)
"""Client errors that another attempt may not meet."""
_CONNECT_SECONDS = 10.0
"""Seconds to wait for a connection: an address that swallows everything must not look like a slow model."""
_NO_CONNECTION = ("ConnectError", "ConnectTimeout")
_MOST_TOKENS = 10**9
"""No answer has more; a greater count is no count."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a server answered."""

    body: Mapping[str, Any]

    def tokens(self, name: str) -> int:
        """Give `prompt_tokens` or `completion_tokens`, 0 where the server does not count."""
        usage = self.body.get("usage")
        count = usage.get(name) if isinstance(usage, Mapping) else None
        return count if type(count) is int and 0 <= count <= _MOST_TOKENS else 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt gave nothing."""

    code: str
    message: str
    status: int | None = None
    passing: bool = True
    """Tell whether another attempt may do better."""
    wait: float | None = None
    """Seconds that the server asked for."""


class Endpoint:
    """An OpenAI-compatible server."""

    def __init__(self, sending: Sending) -> None:
        """Connect to nothing yet. InputError without the openai package."""
        try:
            import openai
        except ImportError as error:
            raise InputError(
                f"tiers run needs the tiers extra: pip install 'scar-rank[tiers]' ({error})"
            ) from None
        self._key = read_key()
        self._timeout = sending.timeout
        try:
            client = wire()
        except (ImportError, ValueError, OSError) as error:
            # The error itself may repeat a proxy's password.
            raise InputError(
                f"no connection can be set up ({type(error).__name__}): check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, "
                "SSL_CERT_FILE and SSL_CERT_DIR; a SOCKS proxy needs the package socksio"
            ) from None
        self._client = openai.AsyncOpenAI(
            api_key=self._key or _NO_KEY,
            base_url=sending.base_url,
            timeout=openai.Timeout(sending.timeout, connect=min(sending.timeout, _CONNECT_SECONDS)),
            max_retries=0,  # ours count bad JSON and empty answers too, and cap what a server may ask for
            http_client=client,
        )
        parts = urlsplit(str(self._client.base_url))
        self.address = f"{parts.scheme}://{parts.netloc}"

    async def __aenter__(self) -> "Endpoint":
        """Keep connections for the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.close()

    async def attempt(self, body: Mapping[str, Any]) -> Completion | Failure:
        """Send a request once."""
        import openai

        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            # The client's own timeout starts anew with every byte: a server that drips would hold us for ever.
            async with asyncio.timeout(self._timeout):
                answer = await self._client.chat.completions.with_raw_response.create(
                    model=body["model"], messages=cast(Any, body["messages"]), extra_body=rest
                )
            return self._completion(answer.http_response.content)
        except UnreadableError as error:
            return Failure("unreadable", str(error))
        except openai.APIStatusError as error:
            return self._refusal(error)
        except (TimeoutError, openai.APIConnectionError) as error:
            return self._silence(error)

    def _completion(self, content: bytes) -> Completion | Failure:
        text = content.decode("utf-8", "replace")
        try:
            # Written as it will stand in a line of replies: there its escapes hide no key, and what nests too deep
            # to be written fails here.
            line = json.dumps({"response": {"body": json.loads(content.decode("utf-8"))}})
            body = json.loads(self._scrubbed(line, least=_SECRET_LENGTH))["response"]["body"]
            if first_choice(body) is None:
                return Failure("no_choices", f"no message in it: {self._told(body)}", 200)
            return Completion(body)
        except (ValueError, RecursionError):
            return Failure("bad_json", f"not JSON: {self._told(text)}", 200)

    def _silence(self, error: BaseException) -> Failure:
        # The cause says what happened; its text could hold a header, its type cannot.
        cause = type(error.__cause__).__name__
        if cause in _NO_CONNECTION:
            return Failure("unreachable", f"no connection ({cause})")
        if isinstance(error, TimeoutError) or cause.endswith("Timeout"):
            return Failure("timeout", f"no answer within {self._timeout:g} s")
        return Failure("connection", f"the connection failed ({cause})")

    def _refusal(self, error: "APIStatusError") -> Failure:
        status = error.status_code
        passing = status >= 500 or status in _PASSING
        headers = error.response.headers
        told = error.body.get("message") if isinstance(error.body, Mapping) else None
        message = self._told(told or headers.get("location") or error.body)
        return Failure(f"http_{status}", message, status, passing, retry_after(headers))

    def _told(self, what: object) -> str:
        # Cut after the key has gone: half a key is too much of it.
        return shortened(self._scrubbed(str(what))[:_READ])

    def _scrubbed(self, text: str, least: int = 1) -> str:
        if len(self._key) < least:
            return text
        return text.replace(self._key, "[key]").replace(json.dumps(self._key)[1:-1], "[key]")


def read_key() -> str:
    """Read the key; empty where there is none. InputError where it cannot be a header, without repeating it."""
    key = os.environ.get(KEY, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise InputError(f"{KEY} holds a blank, a line end or a character outside ASCII; set it again")
    return key

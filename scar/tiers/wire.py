"""The HTTP client under the openai client, for servers that nobody vouches for.

An answer is read up to a bound, packed or not at all; a redirect is an answer, not a way to take.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai

MOST_BYTES = 16 * 2**20
"""Bytes of an answer; a completion of the longest contexts has less."""
_KEPT = ("location", "retry-after")
"""Headers that somebody reads. The others stay out: a charset of theirs can name a codec that decodes no text."""


class UnreadableError(Exception):
    """An answer that is not read on: too long, or packed."""


def wire() -> "openai.DefaultAsyncHttpxClient":
    """Make a client that sends a request to the address it names and to no other, and reads a bounded answer."""
    import openai

    class Wire(openai.DefaultAsyncHttpxClient):
        async def send(self, request: Any, **options: Any) -> Any:
            # Unpacked, a megabyte can be a gigabyte.
            request.headers["accept-encoding"] = "identity"
            answer = await super().send(request, **options | {"stream": True, "follow_redirects": False})
            try:
                content = await _content(answer)
            finally:
                await answer.aclose()
            headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return type(answer)(answer.status_code, headers=headers, content=content, request=request)

    return Wire()


async def _content(answer: Any) -> bytes:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise UnreadableError("the answer is packed, though the request asked for plain text")
    content = bytearray()
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > MOST_BYTES:
            raise UnreadableError(f"the answer is longer than {MOST_BYTES:,} bytes")
    return bytes(content)

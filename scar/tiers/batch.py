"""The batch layout: requests and replies as JSON lines, as OpenAI's batch API and vLLM's run_batch have them.

Knows nothing of what is asked.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scar.errors import InputError
from scar.tiers.missing import Missing, Why

URL = "/v1/chat/completions"
_THINKING = ("<think>", "</think>")
_CUT = ("length", "max_tokens", "model_length", "abort", "error")
"""What servers call an end that the model did not choose."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a batch."""

    custom_id: str
    body: Mapping[str, Any]

    def line(self) -> bytes:
        """Give the request as a line of a batch file."""
        row = {"custom_id": self.custom_id, "method": "POST", "url": URL, "body": self.body}
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a batch: its text, or why there is none."""

    custom_id: str
    answer: str | Missing

    @property
    def arrived(self) -> bool:
        """Tell whether the server answered at all, be it with nothing of use."""
        return not isinstance(self.answer, Missing) or self.answer.why is not Why.REQUEST_FAILED


def read_requests(path: Path) -> Iterator[Request]:
    """Yield the requests of a batch file, one line in memory at a time; InputError at the first that is none."""
    with open(path, "rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if raw.strip():
                yield _request(raw, f"{path}, line {number}")


def _request(raw: bytes, where: str) -> Request:
    row = json_object(raw)
    if row is None:
        raise InputError(f"{where}: not a JSON object; `scar tiers ask` writes requests")
    custom_id, body = row.get("custom_id"), row.get("body")
    if not isinstance(custom_id, str) or not custom_id or not isinstance(body, dict):
        raise InputError(f"{where}: not a batch request: custom_id and body are needed")
    if row.get("url", URL) != URL:
        raise InputError(f"{where}: url is {row['url']!r:.60}; only {URL} can be sent")
    if not isinstance(body.get("model"), str) or not isinstance(body.get("messages"), list):
        raise InputError(f"{where}: the body needs a model and messages")
    if body.get("stream"):
        raise InputError(f"{where}: streamed replies cannot be stored; remove stream")
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: the body holds a lone surrogate, which cannot be sent") from None
    return Request(custom_id, body)


def read_reply(raw: bytes) -> Reply | None:
    """Read a line of a replies file; None where it is no reply at all, such as a request."""
    row = json_object(raw)
    if row is None or not isinstance(row.get("custom_id"), str) or not {"response", "error"} & set(row):
        return None
    return Reply(row["custom_id"], _answer(row))


def json_object(raw: bytes) -> dict[str, Any] | None:
    """Give the JSON object that a line holds, None where it holds none."""
    try:
        row = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _answer(row: Mapping[str, Any]) -> str | Missing:
    response, error = row.get("response"), row.get("error")
    if error:
        message = error.get("message") or error.get("code") if isinstance(error, Mapping) else None
        return Missing.because(Why.REQUEST_FAILED, message or error)
    if not isinstance(response, Mapping):
        return Missing.because(Why.REQUEST_FAILED, "no response")
    status, body = response.get("status_code", 200), response.get("body")
    if not isinstance(status, int) or not 200 <= status < 300:
        return Missing.because(Why.REQUEST_FAILED, f"status {status}: {body}")
    choice = first_choice(body)
    if choice is None:
        return Missing.because(Why.REQUEST_FAILED, f"no choices: {body}")
    return _said(choice)


def first_choice(body: object) -> Mapping[str, Any] | None:
    """Give the first choice of a completion, None where the body holds no message."""
    choices = body.get("choices") if isinstance(body, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, Mapping) and isinstance(choice.get("message"), Mapping) else None


def _said(choice: Mapping[str, Any]) -> str | Missing:
    """Give the text of a choice, or why it is no whole text."""
    message, finish = choice["message"], choice.get("finish_reason")
    if message.get("refusal") or finish == "content_filter":
        return Missing.because(Why.REFUSED, message.get("refusal") or finish)
    if finish in _CUT:
        told = "the reply reached its token limit" if finish == "length" else f"finish_reason {finish}"
        return Missing.because(Why.CUT_OFF, told)
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        return Missing.because(Why.NOT_TEXT, content)
    text = _without_thinking(content or "").strip()
    if not text:
        return Missing.because(Why.EMPTY_REPLY)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return Missing.because(Why.NOT_TEXT, f"a lone surrogate at character {error.start}")
    return text


def _without_thinking(text: str) -> str:
    """Drop a leading block of thoughts, which a server without a reasoning parser leaves in the text.

    Some chat templates open the block in the prompt: then the reply only closes it.
    """
    start, end = _THINKING
    thoughts, _, rest = text.partition(end)
    opened = text.lstrip().startswith(start)
    closed = end in text and start not in thoughts and (not rest or rest.startswith("\n"))
    return rest if opened or closed else text

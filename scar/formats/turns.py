"""Dialogues -> turns: lists of messages in any spelling, and texts with `Human:` and `Assistant:` marks."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scar.formats.values import RowError, kind, listed, unicode
from scar.records import Reason, Turn

_ROLES = {
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "ai": "assistant",
}
"""What ShareGPT dumps call the two sides; any other role keeps its name."""
_MARK = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ ]?")


def turns_of(messages: Any, what: str) -> list[Turn]:
    """Read a list of messages, as role/content or from/value; RowError names the message that is none."""
    if not isinstance(messages, list):
        raise RowError(Reason.WRONG_LAYOUT, f"{what!r} is {kind(messages)}, not a list")
    return [_turn(message, number) for number, message in enumerate(messages)]


def _turn(message: Any, number: int) -> Turn:
    said = message if isinstance(message, Mapping) else {}
    role = said["role"] if said.get("role") is not None else said.get("from")
    if not isinstance(role, str):
        raise RowError(Reason.WRONG_LAYOUT, f"message {number} has no role")
    content = said["content"] if said.get("content") is not None else said.get("value")
    if isinstance(content, list):
        content = _joined(content, number)
    if content is None:
        content = ""  # an assistant turn that only calls a tool
    if not isinstance(content, str):
        raise RowError(Reason.WRONG_LAYOUT, f"the content of message {number} is {kind(content)}, not text")
    role = unicode(role, Reason.WRONG_LAYOUT, f"the role of message {number}")
    return Turn(_ROLES.get(role, role), unicode(content, Reason.WRONG_LAYOUT, f"message {number}"))


def _joined(content: list[Any], number: int) -> str:
    texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        raise RowError(Reason.WRONG_LAYOUT, f"message {number} holds more than text")
    return "\n".join(text for text in texts if isinstance(text, str))


def marked(text: str) -> list[Turn] | None:
    r"""Read a dialogue that is one text, `\n\nHuman: ...\n\nAssistant: ...`; None where the text is none."""
    pieces = _MARK.split(text.strip("\n") if text.startswith("\n\n") else text)
    if len(pieces) < 3 or pieces[0].strip():
        return None
    roles = {"Human": "user", "Assistant": "assistant"}
    return [Turn(roles[role], said) for role, said in zip(pieces[1::2], pieces[2::2], strict=True)]


def split_last(turns: Sequence[Turn]) -> tuple[tuple[Turn, ...], str]:
    """Part a dialogue into what was said before the last assistant turn, and that turn; what follows it is dropped."""
    answers = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    if not answers:
        roles = listed({turn.role for turn in turns}, most=4)
        raise RowError(Reason.MISSING_RESPONSE, f"no message has the role 'assistant'; there are: {roles}")
    before = tuple(turns[: answers[-1]])
    if not any(turn.role != "system" for turn in before):
        raise RowError(Reason.MISSING_INSTRUCTION, "nothing was said before the last answer")
    if not any(turn.text.strip() for turn in before if turn.role != "system"):
        raise RowError(Reason.EMPTY_INSTRUCTION, "the messages before the last answer are empty")
    return before, turns[answers[-1]].text


def earlier_answers(turns: Sequence[Turn]) -> tuple[int, ...]:
    """Give the places of the assistant turns among the turns before the response that answer something."""
    said = [bool(turn.text.strip()) for turn in turns]
    asked = next((n for n, turn in enumerate(turns) if turn.role != "system" and said[n]), len(turns))
    return tuple(n for n, turn in enumerate(turns) if turn.role == "assistant" and said[n] and n > asked)

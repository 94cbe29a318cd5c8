"""Single values of a row: text that a tokenizer can hold, nested fields, ids. Knows no layout."""

import base64
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from scar.records import Reason

_MISSING = {"instruction": Reason.MISSING_INSTRUCTION, "response": Reason.MISSING_RESPONSE}
_EMPTY = {"instruction": Reason.EMPTY_INSTRUCTION, "response": Reason.EMPTY_RESPONSE}
_NOT_TEXT = {"instruction": Reason.INSTRUCTION_NOT_TEXT, "response": Reason.RESPONSE_NOT_TEXT}


class RowError(Exception):
    """This row cannot be a record; carries the reason code and what was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def text(value: Any, role: str) -> str:
    """Take an instruction or a response as text; RowError where it is missing, blank, broken or something else."""
    if value is None:
        raise RowError(_MISSING[role], f"the {role} is missing or null")
    if not isinstance(value, str):
        raise RowError(_NOT_TEXT[role], f"the {role} is {kind(value)}, not text")
    if not value.strip():
        raise RowError(_EMPTY[role], f"the {role} is empty or white space")
    return unicode(value, _NOT_TEXT[role], f"the {role}")


def unicode(value: str, reason: Reason, what: str) -> str:
    """Refuse a lone surrogate: JSON can spell it, no tokenizer or file can hold it."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(reason, f"{what} holds a lone surrogate at character {error.start}") from None
    return value


def nested(value: Any) -> Any:
    """Give a list or an object, also where a cell holds it as JSON text: csv has no other way; the rest as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def dialogue(value: Any) -> Any:
    """Give a list of messages, also where a cell holds it as JSON text, or as an object of equally long lists.

    The latter is what `datasets` makes of a `Sequence` of messages; anything else stays as it is.
    """
    given = nested(value)
    if not isinstance(given, Mapping) or not given:
        return given
    columns = list(given.values())
    if not all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns):
        return given
    return [dict(zip(given, message, strict=True)) for message in zip(*columns, strict=True)]


def messages_or_text(value: Any) -> Any:
    """Give a list of messages, in any form of these; any other text stays text, though it be JSON.

    An answer may well be a JSON object or a list of numbers.
    """
    given = dialogue(value)
    messages = isinstance(given, list) and given and all(isinstance(each, dict) for each in given)
    return given if messages and all("role" in each or "from" in each for each in given) else value


def number(value: Any) -> float | None:
    """Give a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # For an integer of 400 digits math.isfinite raises.
    return float(value) if abs(value) <= sys.float_info.max else None


def flag(value: Any) -> bool:
    """Tell whether a value says yes: true, 1 as columnar files have it, or a word for it as csv cells do."""
    if isinstance(value, str):
        return value.strip().casefold() in ("true", "1", "1.0")
    return isinstance(value, bool | int | float) and value == 1


def row_id(value: Any) -> str | None:
    """Give a row's own id as text; None where it is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).encode("utf-8", "replace").decode()


def carried(row: object, column: str) -> str | None:
    """Give a column's value as the sidecar carries it: text as it is, anything else as JSON, None where absent."""
    value = row.get(column) if isinstance(row, Mapping) else None
    if value is None or isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if value else value
    written = json.dumps(value, ensure_ascii=False, sort_keys=True, default=plain)
    return written.encode("utf-8", "replace").decode()


def plain(value: Any) -> str:
    """Spell what JSON has no word for, as columnar files hold it: bytes as base64, dates and decimals as text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def kind(value: Any) -> str:
    """Say what a value is, in a user's words."""
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text"}
    names |= {bytes: "bytes", list: "a list"}
    return names.get(type(value), "an object")


def listed(names: Iterable[str], most: int = 12) -> str:
    """Give names for a message: in order, not all of very many, none of them at length."""
    shown = [repr(name if len(name) <= 60 else name[:57] + "...") for name in sorted(names)]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def shown(row: object, most: int = 120) -> str:
    """Give the beginning of a row, for a message: never all of it."""
    written = json.dumps(row, ensure_ascii=True, default=plain)
    return written if len(written) <= most else written[: most - 3] + "..."

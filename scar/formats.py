"""A raw row of any known layout -> records. The only place that knows field names; knows nothing of files."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scar.errors import InputError
from scar.records import Address, Reason, Record, SetAside, Tiers, Turn

Row = Mapping[str, Any]
FIELDS = {
    "plain": ("instruction", "response"),
    "messages": ("messages",),
    "tiers": ("instruction", "responses"),
}


class RowError(Exception):
    """This row cannot be a record; carries the reason code and what was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Layout:
    """The shape of a file's rows, and under which column each field stands."""

    name: str
    columns: Mapping[str, str]

    def field(self, row: Row, name: str) -> Any:
        """Give the value of a field, None where the row lacks it."""
        return row.get(self.columns.get(name, name))

    def column(self, name: str) -> str:
        """Give the column in which a field stands."""
        return self.columns.get(name, name)

    def fits(self, row: Row) -> bool:
        """Tell whether the row has this layout's columns, of the right kind."""
        if not all(self.column(name) in row for name in FIELDS[self.name]):
            return False
        kinds = {"messages": list, "responses": Mapping}
        return all(isinstance(self.field(row, name), kinds.get(name, object)) for name in FIELDS[self.name])


def detect(rows: Sequence[Row], wanted: str, columns: Mapping[str, str], file: str) -> Layout:
    """Choose the layout of a file from its first readable rows.

    Raises InputError where nothing fits, naming the file, the columns that are there and the remedy.
    """
    names = [wanted] if wanted != "auto" else ["tiers", "messages", "plain"]
    known = {name for layout in names for name in FIELDS[layout]}
    for name in columns:
        if name not in known:
            raise InputError(
                f"--columns {name}=...: no such field; fields of this layout: {', '.join(sorted(known))}"
            )
    present = {key for row in rows for key in row}
    for name, column in columns.items():
        if rows and column not in present:
            raise InputError(
                f"{file}: no column {column!r} (asked for by --columns {name}={column}); there are: {_listed(present)}"
            )
    for name in names:
        layout = Layout(name, columns)
        if any(layout.fits(row) for row in rows):
            return layout
    if not rows or wanted != "auto":
        # Forced, or nothing readable to judge by: every row then says for itself what it lacks.
        return _forced(wanted, columns, present, file)
    raise InputError(
        f"{file}: cannot tell the layout from the columns {_listed(present)}; "
        "map them with --columns instruction=NAME,response=NAME or force --format plain|messages|tiers"
    )


def _forced(wanted: str, columns: Mapping[str, str], present: set[str], file: str) -> Layout:
    layout = Layout("plain" if wanted == "auto" else wanted, columns)
    missing = [name for name in FIELDS[layout.name] if layout.column(name) not in present]
    if present and missing:
        raise InputError(
            f"{file}: --format {wanted} needs the column {layout.column(missing[0])!r}; "
            f"there are: {_listed(present)}; map it with --columns {missing[0]}=NAME or leave --format auto"
        )
    return layout


def _listed(names: set[str], most: int = 12) -> str:
    shown = sorted(names)[:most]
    return ", ".join(map(repr, shown)) + (f" and {len(names) - most} more" if len(names) > most else "")


def expand(row: Row, layout: Layout, address: Address) -> Iterator[Record | SetAside]:
    """Yield one record for each response of the row, in the row's order, or why there is none."""
    own_id = _id(row)
    try:
        parts = _PARTS[layout.name](row, layout)
    except RowError as error:
        yield SetAside(address, error.reason, str(error), own_id)
        return
    for part, turns, response in parts:
        try:
            yield Record(turns, _text(response, "response"), address, own_id, part)
        except RowError as error:
            yield SetAside(address, error.reason, str(error), own_id, part)


def check(record: Record) -> Record | SetAside:
    """Hold a record made by hand to what a row is held to: text on both sides, none of it blank or broken."""
    try:
        _text(record.response, "response")
        said = [turn.text for turn in record.turns if turn.role != "system"]
        for text in said:
            _unicode(text, Reason.INSTRUCTION_NOT_TEXT, "the instruction")
        if not any(text.strip() for text in said):
            raise RowError(Reason.EMPTY_INSTRUCTION, "the instruction is empty or white space")
    except RowError as error:
        return SetAside(record.address, error.reason, str(error), record.id, record.part)
    return record


Part = tuple[str | None, tuple[Turn, ...], Any]


def _plain(row: Row, layout: Layout) -> list[Part]:
    instruction = _text(layout.field(row, "instruction"), "instruction")
    return [(None, (Turn("user", instruction),), layout.field(row, "response"))]


def _messages(row: Row, layout: Layout) -> list[Part]:
    messages = layout.field(row, "messages")
    if not isinstance(messages, list):
        raise RowError(Reason.WRONG_LAYOUT, f"{layout.column('messages')!r} is {_kind(messages)}, not a list")
    turns = [_turn(message, number) for number, message in enumerate(messages)]
    answers = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    if not answers:
        raise RowError(Reason.MISSING_RESPONSE, "no message has the role 'assistant'")
    before = turns[: answers[-1]]
    if not any(turn.role != "system" for turn in before):
        raise RowError(Reason.MISSING_INSTRUCTION, "nothing was said before the last answer")
    if not any(turn.text.strip() for turn in before if turn.role != "system"):
        raise RowError(Reason.EMPTY_INSTRUCTION, "the messages before the last answer are empty")
    return [(None, tuple(before), turns[answers[-1]].text)]


def _turn(message: Any, number: int) -> Turn:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise RowError(Reason.WRONG_LAYOUT, f"message {number} has no role")
    content = message.get("content")
    if isinstance(content, list):
        content = _joined(content, number)
    if content is None:
        content = ""  # an assistant turn that only calls a tool
    if not isinstance(content, str):
        raise RowError(Reason.WRONG_LAYOUT, f"the content of message {number} is {_kind(content)}, not text")
    role = _unicode(message["role"], Reason.WRONG_LAYOUT, f"the role of message {number}")
    return Turn(role, _unicode(content, Reason.WRONG_LAYOUT, f"message {number}"))


def _joined(content: list[Any], number: int) -> str:
    texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        raise RowError(Reason.WRONG_LAYOUT, f"message {number} holds more than text")
    return "\n".join(text for text in texts if isinstance(text, str))


def _tiers(row: Row, layout: Layout) -> list[Part]:
    turns = (Turn("user", _text(layout.field(row, "instruction"), "instruction")),)
    responses = layout.field(row, "responses")
    if not isinstance(responses, Mapping):
        raise RowError(
            Reason.WRONG_LAYOUT, f"{layout.column('responses')!r} is {_kind(responses)}, not an object"
        )
    if not responses:
        raise RowError(Reason.MISSING_RESPONSE, f"{layout.column('responses')!r} is empty")
    names = [_unicode(str(tier), Reason.WRONG_LAYOUT, "the name of a response") for tier in responses]
    return [(name, turns, response) for name, response in zip(names, responses.values(), strict=True)]


_PARTS: dict[str, Callable[[Row, Layout], list[Part]]] = {
    "plain": _plain,
    "messages": _messages,
    "tiers": _tiers,
}


def tiers(row: Row, layout: Layout, address: Address) -> Tiers | SetAside:
    """Read a row of the tiers layout whole; a null or blank response is a missing tier."""
    try:
        parts = _tiers(row, layout)
        responses = {
            str(part): _text(response, "response")
            for part, _, response in parts
            if response is not None and not (isinstance(response, str) and not response.strip())
        }
        if not responses:
            raise RowError(Reason.EMPTY_RESPONSE, "every tier is empty")
        quality = {tier: value for tier, value in _quality(row).items() if tier in responses}
    except RowError as error:
        return SetAside(address, error.reason, str(error), _id(row))
    source = row.get("source")
    return Tiers(
        parts[0][1],
        responses,
        quality,
        address,
        _id(row),
        source if isinstance(source, str) else None,
        row.get("eval_only") is True,
    )


def _quality(row: Row) -> dict[str, float]:
    given = row.get("quality")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RowError(Reason.WRONG_LAYOUT, f"'quality' is {_kind(given)}, not an object")
    return {str(tier): _grade(str(tier), value) for tier, value in given.items() if value is not None}


def _grade(tier: str, value: Any) -> float:
    """Give one number: the mean of helpfulness and correctness where both are given (SCAR's `help_correct`)."""
    grades = [value.get("helpfulness"), value.get("correctness")] if isinstance(value, Mapping) else [value]
    if not all(isinstance(g, int | float) and not isinstance(g, bool) and _finite(g) for g in grades):
        what = f"quality of tier {tier!r} is not a number or {{helpfulness, correctness}}: {value!r:.80}"
        raise RowError(Reason.WRONG_LAYOUT, what)
    return sum(float(grade) for grade in grades if grade is not None) / len(grades)


def _finite(number: float) -> bool:
    """Tell whether a float can hold the number: for an integer of 400 digits math.isfinite raises."""
    return abs(number) <= sys.float_info.max


def carried(row: object, column: str) -> str | None:
    """Give a column's value as the sidecar carries it: text as it is, anything else as JSON, None where absent."""
    value = row.get(column) if isinstance(row, Mapping) else None
    if value is None or isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if value else value
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace").decode()


_MISSING = {"instruction": Reason.MISSING_INSTRUCTION, "response": Reason.MISSING_RESPONSE}
_EMPTY = {"instruction": Reason.EMPTY_INSTRUCTION, "response": Reason.EMPTY_RESPONSE}
_NOT_TEXT = {"instruction": Reason.INSTRUCTION_NOT_TEXT, "response": Reason.RESPONSE_NOT_TEXT}


def _text(value: Any, role: str) -> str:
    if value is None:
        raise RowError(_MISSING[role], f"the {role} is missing or null")
    if not isinstance(value, str):
        raise RowError(_NOT_TEXT[role], f"the {role} is {_kind(value)}, not text")
    if not value.strip():
        raise RowError(_EMPTY[role], f"the {role} is empty or white space")
    return _unicode(value, _NOT_TEXT[role], f"the {role}")


def _unicode(text: str, reason: Reason, what: str) -> str:
    """Refuse a lone surrogate: JSON can spell it, no tokenizer or file can hold it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(reason, f"{what} holds a lone surrogate at character {error.start}") from None
    return text


def _id(row: Row) -> str | None:
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).encode("utf-8", "replace").decode()


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")

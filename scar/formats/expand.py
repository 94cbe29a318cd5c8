"""A row of a layout -> its records: one for each response, in the row's own order."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from scar.formats.layouts import Layout, Row, layout_of
from scar.formats.turns import earlier_answers, marked, split_last, turns_of
from scar.formats.values import RowError, dialogue, kind, messages_or_text, nested, row_id, text, unicode
from scar.records import Address, Reason, Record, SetAside, Turn

Part = tuple[str | None, tuple[Turn, ...], Any]
"""Name of a response where the row has several, what it answers, and the response, unchecked, or why there is none."""


def expand(row: Row, layout: Layout, address: Address, turns: str = "last") -> Iterator[Record | SetAside]:
    """Yield one record for each response of the row, or why there is none.

    `turns` is last, or each: then the earlier assistant turns of a dialogue are scored too.
    """
    own_id = row_id(layout.field(row, "id"))
    try:
        parts = list(_PARTS[layout.name](row, layout))
    except RowError as error:
        reason, detail = explained(error, row, layout)
        yield SetAside(address, reason, detail, own_id)
        return
    for part, before, response in parts:
        try:
            if isinstance(response, RowError):
                raise response
            record = Record(before, text(response, "response"), address, own_id, part)
        except RowError as error:
            yield SetAside(address, *explained(error, row, layout), own_id, part)
        else:
            yield replace(record, answers=earlier_answers(before)) if turns == "each" else record


def explained(error: RowError, row: Row, layout: Layout) -> tuple[Reason, str]:
    """Give the reason for a row's fault; a row that would be whole in another layout says so."""
    if error.reason in (Reason.MISSING_INSTRUCTION, Reason.MISSING_RESPONSE, Reason.WRONG_LAYOUT):
        other = layout_of(row)
        if other and other.name != layout.name and not layout.fits(row):
            detail = (
                f"{error}; the row looks like {other.name}, the file was read as {layout.name} (--format)"
            )
            return Reason.WRONG_LAYOUT, detail
    return error.reason, str(error)


def check(record: Record) -> Record | SetAside:
    """Hold a record made by hand to what a row is held to: text on both sides, none of it blank or broken."""
    try:
        text(record.response, "response")
        said = [turn.text for turn in record.turns if turn.role != "system"]
        for each in said:
            unicode(each, Reason.INSTRUCTION_NOT_TEXT, "the instruction")
        if not any(each.strip() for each in said):
            raise RowError(Reason.EMPTY_INSTRUCTION, "the instruction is empty or white space")
    except RowError as error:
        return SetAside(record.address, error.reason, str(error), record.id, record.part)
    return record


def _instructed(response: str) -> Callable[[Row, Layout], Iterator[Part]]:
    def parts(row: Row, layout: Layout) -> Iterator[Part]:
        yield None, instruction(row, layout), layout.field(row, response)

    return parts


def instruction(row: Row, layout: Layout) -> tuple[Turn, ...]:
    """Read the instruction, and where there is an `input`, a blank line and the input."""
    asked = text(layout.field(row, "instruction"), "instruction")
    given = layout.field(row, "input")
    if given is not None and not isinstance(given, str):
        raise RowError(Reason.INSTRUCTION_NOT_TEXT, f"the input is {kind(given)}, not text")
    if given and given.strip():
        asked = f"{asked}\n\n{unicode(given, Reason.INSTRUCTION_NOT_TEXT, 'the input')}"
    return (Turn("user", asked),)


def _dialogue(field: str) -> Callable[[Row, Layout], Iterator[Part]]:
    def parts(row: Row, layout: Layout) -> Iterator[Part]:
        before, response = split_last(turns_of(dialogue(layout.field(row, field)), layout.column(field)))
        yield None, before, response

    return parts


def _prompt_completion(row: Row, layout: Layout) -> Iterator[Part]:
    prompt = _prompt(messages_or_text(layout.field(row, "prompt")))
    yield None, *_answer(prompt, messages_or_text(layout.field(row, "completion")), "completion")


def _preference(row: Row, layout: Layout) -> Iterator[Part]:
    given = messages_or_text(layout.field(row, "prompt"))
    prompt = () if given is None or given == "" or given == [] else _prompt(given)
    columns = {layout.column(name): name for name in ("chosen", "rejected")}
    present = [column for column in row if column in columns]
    if not present:
        raise RowError(Reason.MISSING_RESPONSE, f"the row has neither {' nor '.join(map(repr, columns))}")
    for column in present:
        try:
            before, response = _answer(prompt, messages_or_text(row[column]), columns[column])
        except RowError as error:
            before, response = prompt, error  # the other response may stand
        yield columns[column], before, response


def _prompt(value: Any) -> tuple[Turn, ...]:
    if isinstance(value, list):
        turns = turns_of(value, "prompt")
        if not any(turn.text.strip() for turn in turns if turn.role != "system"):
            raise RowError(Reason.EMPTY_INSTRUCTION, "the messages of the prompt are empty")
        return tuple(turns)
    asked = text(value, "instruction")
    turns = marked(asked) or []
    if turns and turns[-1].role == "assistant" and not turns[-1].text.strip():
        turns = turns[:-1]  # "...\n\nAssistant:" waits for the completion
    return tuple(turns) or (Turn("user", asked),)


def _answer(prompt: tuple[Turn, ...], value: Any, what: str) -> tuple[tuple[Turn, ...], Any]:
    """Give what a response answers, and the response: a text, a message, or a whole dialogue that ends in it."""
    turns = turns_of(value, what) if isinstance(value, list) else _marked(value)
    if prompt and isinstance(value, str) and turns and all(turn.role == "user" for turn in turns):
        turns = None  # a plain answer that happens to begin with "Human:"
    if turns is None:
        if value is None:
            raise RowError(Reason.MISSING_RESPONSE, f"{what!r} is missing or null")
        if not prompt:
            raise RowError(
                Reason.MISSING_INSTRUCTION,
                f"there is no prompt, and {what!r} is no whole dialogue (--columns prompt=NAME)",
            )
        return prompt, value
    # A dialogue that the user opens holds its own prompt, whatever the prompt column repeats of it.
    opener = next((turn.role for turn in turns if turn.role != "system"), None)
    return split_last(turns if opener == "user" else [*prompt, *turns])


def _marked(value: Any) -> list[Turn] | None:
    return marked(value) if isinstance(value, str) else None


def _tiers(row: Row, layout: Layout) -> Iterator[Part]:
    turns, responses = instruction(row, layout), tier_responses(row, layout)
    if not responses:
        raise RowError(Reason.MISSING_RESPONSE, f"{layout.column('responses')!r} is empty")
    for tier, response in responses.items():
        yield tier, turns, response


def tier_responses(row: Row, layout: Layout) -> dict[str, Any]:
    """Give the responses of a tiers row by name; a null is a tier that the row does not have.

    A columnar file has every tier's column in every row, so null and absent must mean the same.
    """
    responses = nested(layout.field(row, "responses"))
    if not isinstance(responses, dict):
        raise RowError(
            Reason.WRONG_LAYOUT, f"{layout.column('responses')!r} is {kind(responses)}, not an object"
        )
    return {
        unicode(str(tier), Reason.WRONG_LAYOUT, "the name of a response"): response
        for tier, response in responses.items()
        if response is not None
    }


_PARTS: dict[str, Callable[[Row, Layout], Iterator[Part]]] = {
    "plain": _instructed("response"),
    "alpaca": _instructed("output"),
    "messages": _dialogue("messages"),
    "sharegpt": _dialogue("conversations"),
    "prompt-completion": _prompt_completion,
    "preference": _preference,
    "tiers": _tiers,
}

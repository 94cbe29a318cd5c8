"""A row with a judgement, whole: a label or a score of one response, or a pair of which one was preferred."""

import math
from typing import Any

from scar.errors import InputError
from scar.formats.expand import expand
from scar.formats.layouts import Layout, Row
from scar.formats.values import flag, number, row_id
from scar.records import Address, Judged, Reason, Record, SetAside

_WORDS = {"true": 1.0, "false": 0.0}
_LABEL = "write 0 or 1, or true or false; grades belong into `score` (--columns score=NAME)"
_NUMBER = "write a number, or null where there is none"


def judged(row: Row, layout: Layout, address: Address, *, wanted: str = "auto") -> Judged | SetAside:
    """Read a row whole, with the judgement that is wanted: labels, graded, pairs, or auto: what there is.

    A judgement that is null, NaN or blank is missing; a row without any is set aside. Raises InputError for one that
    says something else than it can: a label that is a word would be so in the whole file.
    """
    items = {item.part: item for item in expand(row, layout, address)}
    bad = next((item for item in items.values() if isinstance(item, SetAside)), None)
    if bad:
        return bad
    records = [item for item in items.values() if isinstance(item, Record)]
    if layout.name == "preference":
        return _pair(row, layout, {record.part: record for record in records})
    return _single(row, layout, records[0], wanted)


def _pair(row: Row, layout: Layout, records: dict[str | None, Record]) -> Judged | SetAside:
    one = next(iter(records.values()))
    for name in ("chosen", "rejected"):
        if name not in records:
            return SetAside(
                one.address, Reason.MISSING_RESPONSE, f"{layout.column(name)!r} is missing", one.id, name
            )
    chosen, rejected = records["chosen"], records["rejected"]
    if chosen.turns != rejected.turns:
        detail = "the chosen and the rejected response answer different dialogues"
        return SetAside(one.address, Reason.WRONG_LAYOUT, detail, one.id)
    given = layout.field(row, "margin")
    # A margin of NaN stays one: whether margins matter is for the training to say.
    margin = given if isinstance(given, float) else _score(given, layout.column("margin"), one.address)
    return _made(row, layout, chosen, (chosen.response, rejected.response), margin=margin)


def _single(row: Row, layout: Layout, record: Record, wanted: str) -> Judged | SetAside:
    label = score = None
    if wanted != "graded":
        label = _label(layout.field(row, "label"), layout.column("label"), record.address)
    if wanted != "labels":
        given = layout.field(row, "score")
        # Where a label says enough, what else a file calls `score` is its own affair.
        score = _number(given) if label is not None else _score(given, layout.column("score"), record.address)
    if label is None and score is None:
        names = {"labels": ("label",), "graded": ("score",)}.get(wanted, ("label", "score"))
        there = " and ".join(f"{layout.column(name)!r}" for name in names)
        detail = f"no judgement: {there} {'is' if len(names) == 1 else 'are'} missing, null or NaN"
        return SetAside(record.address, Reason.INVALID_LABEL, detail, record.id)
    return _made(row, layout, record, (record.response,), label=label, score=score)


def _made(
    row: Row,
    layout: Layout,
    record: Record,
    responses: tuple[str, ...],
    *,
    label: float | None = None,
    score: float | None = None,
    margin: float | None = None,
) -> Judged:
    source = layout.field(row, "source")
    return Judged(
        record.turns,
        responses,
        label,
        score,
        margin,
        record.address,
        row_id(layout.field(row, "id")),
        source if isinstance(source, str) else None,
        flag(layout.field(row, "eval_only")),
    )


def _label(given: Any, column: str, address: Address) -> float | None:
    if _missing(given):
        return None
    word = str(given).strip().casefold() if isinstance(given, str | bool) else ""
    value = _WORDS[word] if word in _WORDS else _number(given)
    if value not in (0.0, 1.0):
        raise InputError(f"{_place(address)}: {column!r} is {given!r:.80}, not a label: {_LABEL}")
    return value


def _score(given: Any, column: str, address: Address) -> float | None:
    if _missing(given):
        return None
    value = _number(given)
    if value is None:
        raise InputError(f"{_place(address)}: {column!r} is {given!r:.80}, not a number: {_NUMBER}")
    return value


def _missing(given: Any) -> bool:
    """Tell whether a value says nothing: null, NaN, or what a csv cell has for these."""
    if isinstance(given, str):
        return given.strip().casefold() in ("", "nan", "null", "none")
    return given is None or (isinstance(given, float) and math.isnan(given))


def _number(given: Any) -> float | None:
    """Give a finite number, also where it is written as text, which is all that a csv cell can hold."""
    try:
        return number(float(given) if isinstance(given, str) else given)
    except ValueError:
        return None


def _place(address: Address) -> str:
    return f"{address.file}, line {address.line}"

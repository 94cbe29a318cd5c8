"""A row of the tiers layout, whole: what a style ranker is trained on."""

from collections.abc import Mapping
from typing import Any

from scar.formats.expand import explained, instruction, tier_responses
from scar.formats.layouts import Layout, Row
from scar.formats.values import RowError, flag, kind, nested, number, row_id, text
from scar.records import Address, Reason, SetAside, Tiers


def tiers(row: Row, layout: Layout, address: Address) -> Tiers | SetAside:
    """Read a row of the tiers layout; a null or blank response is a missing tier."""
    own_id = row_id(layout.field(row, "id"))
    try:
        turns = instruction(row, layout)
        given = tier_responses(row, layout)
        responses = {
            tier: text(response, "response")
            for tier, response in given.items()
            if not (isinstance(response, str) and not response.strip())
        }
        if not responses:
            raise RowError(Reason.EMPTY_RESPONSE, "every tier is empty")
        quality = {tier: grade for tier, grade in _quality(row, layout).items() if tier in responses}
    except RowError as error:
        return SetAside(address, *explained(error, row, layout), own_id)
    source = layout.field(row, "source")
    return Tiers(
        turns,
        responses,
        quality,
        address,
        own_id,
        source if isinstance(source, str) else None,
        flag(layout.field(row, "eval_only")),
    )


def _quality(row: Row, layout: Layout) -> dict[str, float]:
    given = nested(layout.field(row, "quality"))
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise RowError(Reason.WRONG_LAYOUT, f"'quality' is {kind(given)}, not an object")
    grades = {str(tier): _grade(str(tier), value) for tier, value in given.items()}
    return {tier: grade for tier, grade in grades.items() if grade is not None}


def _grade(tier: str, value: Any) -> float | None:
    """Give one number: the mean of helpfulness and correctness where both are given (SCAR's `help_correct`)."""
    grades = [value.get("helpfulness"), value.get("correctness")] if isinstance(value, Mapping) else [value]
    if all(grade is None for grade in grades):
        return None
    numbers = [number(grade) for grade in grades]
    good = [n for n in numbers if n is not None]
    if len(good) < len(grades):
        what = f"quality of tier {tier!r} is not a number or {{helpfulness, correctness}}: {value!r:.80}"
        raise RowError(Reason.WRONG_LAYOUT, what)
    return sum(good) / len(good)

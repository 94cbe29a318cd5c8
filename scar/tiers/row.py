"""What is known about a record -> a row of the tiers layout. Pure; knows no files."""

from typing import Any

from scar.tiers.known import Known
from scar.tiers.missing import Missing, Why
from scar.tiers.prompts import ASPECTS, instruction
from scar.tiers.questions import TIERS


def drop_unusable(known: Known, *, graded_only: bool) -> list[tuple[str, Missing]]:
    """Take out half a quality and, where asked for, texts without one; gives what was taken out."""
    dropped = []
    for tier, grades in list(known.grades.items()):
        if len(grades) < len(ASPECTS):
            told = ", ".join(f"{aspect} {grade:g} is not used" for aspect, grade in grades.items())
            del known.grades[tier]
            dropped.append((f"quality-{tier}", Missing.because(Why.HALF_GRADED, told)))
    if graded_only:
        for tier in [tier for tier in known.texts if tier not in known.grades]:
            del known.texts[tier]
            dropped.append((tier, Missing.because(Why.NO_QUALITY, "left out by --graded-only")))
    if len(known.texts) < 2:
        told = f"{', '.join(known.texts) or 'no tier'} alone has nothing to be compared with"
        dropped.append(("record", Missing.because(Why.TOO_FEW_TIERS, told)))
        known.texts.clear()
    return dropped


def tier_row(known: Known, kept: dict[str, Any]) -> dict[str, Any]:
    """Write a record's tiers, best first; several turns become one text, as the ranker's template has them."""
    record = known.record
    row: dict[str, Any] = {} if record.id is None else {"id": record.id}
    row["instruction"] = instruction(record.turns)
    row["responses"] = {tier: known.texts[tier] for tier in TIERS if tier in known.texts}
    if known.grades:
        row["quality"] = {tier: known.grades[tier] for tier in TIERS if tier in known.grades}
    return row | kept

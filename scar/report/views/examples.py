"""Examples as they are shown: cut, with their addresses and scores; and what was set aside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scar.report.gather import Example, Gathered
from scar.report.shares import LONGEST_VALUE
from scar.report.shown import count, number, short

SHOWN, MOST = 600, 4000
"""Characters of a text that are shown at once, and at all."""


@dataclass(frozen=True)
class Text:
    """A text in two parts."""

    head: str
    rest: str
    lost: str
    """How many characters more there are, which are not on the page."""

    @classmethod
    def of(cls, text: str) -> "Text":
        """Cut a text."""
        lost = count(len(text) - MOST) if len(text) > MOST else ""
        return cls(text[:SHOWN], text[SHOWN:MOST], lost)


@dataclass(frozen=True)
class Shown:
    """An example."""

    tenth: int
    kept: bool
    source: str
    address: str
    id: str
    score: str
    rank: str
    asked: Text
    answered: Text


@dataclass(frozen=True)
class Examples:
    """All of them, and what they can be filtered by."""

    shown: tuple[Shown, ...]
    sources: tuple[str, ...]
    selected: bool
    column: str


def examples(found: Gathered) -> Examples | None:
    """Prepare the examples."""
    if not found.examples:
        return None
    carried = [each.column for each in found.groups if each.column not in ("file", "part", "cluster")]
    column = next((name for name in ("source", *carried) if name in carried), "")
    shown = tuple(_shown(found, each, column) for each in found.examples)
    sources = tuple(dict.fromkeys(sorted(each.source for each in shown if each.source)))
    return Examples(shown, sources, bool(found.records.kept.any()), column)


def _shown(found: Gathered, each: Example, column: str) -> Shown:
    told, rank = each.told, each.told.get("scar_rank")
    return Shown(
        each.tenth,
        bool(found.records.kept[each.number]),
        short(str(told.get(column) or ""), LONGEST_VALUE),
        address(told),
        short(str(told.get("id") or ""), LONGEST_VALUE),
        number(float(found.records.score[each.number])),
        count(rank) if rank else "",
        Text.of(
            "\n\n".join(_turn(turn.role, turn.text, len(each.record.turns)) for turn in each.record.turns)
        ),
        Text.of(each.record.response),
    )


def _turn(role: str, text: str, turns: int) -> str:
    return text if turns == 1 else f"{role}: {text}"


def address(told: Mapping[str, Any]) -> str:
    """Say where a record stands."""
    part = f", {short(str(told['part']), LONGEST_VALUE)}" if told.get("part") else ""
    return f"{short(str(told.get('file')), LONGEST_VALUE)}, line {told.get('line')}{part}"


@dataclass(frozen=True)
class AsideShown:
    """A reason with examples: address, id and detail of each."""

    reason: str
    count: str
    examples: tuple[tuple[str, str, str], ...]


def asides(found: Gathered) -> list[AsideShown]:
    """Prepare what was set aside."""
    return [
        AsideShown(
            each.reason,
            count(each.count),
            tuple(
                (
                    address(e),
                    short(str(e.get("id") or ""), LONGEST_VALUE),
                    short(str(e.get("detail") or ""), 300),
                )
                for e in each.examples
            ),
        )
        for each in found.aside
    ]

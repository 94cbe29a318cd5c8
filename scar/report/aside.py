"""Records that were set aside: counts by reason, and the first of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scar.report.facts import Facts

SHOWN = 3
"""Records of a reason that are shown."""
LOOKED_AT = 10_000
"""Records of a piece that are looked at for them."""


@dataclass(frozen=True)
class Aside:
    """Records that were set aside for one reason: how many, and the first of them."""

    reason: str
    count: int
    examples: tuple[Mapping[str, Any], ...]


def asides(facts: Facts) -> list[Aside]:
    """Count the reasons, and give the first records of each, with details where they are at hand."""
    counts: Counter[str] = Counter()
    first: dict[str, list[dict[str, Any]]] = {}
    columns = [
        name for name in ("reason", "row", "part", "file", "line", "id") if name in facts.table.schema.names
    ]
    for table in facts.table.read(columns):
        some = table.filter(table.column("reason").is_valid())
        for reason in some.column("reason").to_pylist():
            counts[reason] += 1
        if any(len(first.get(reason, ())) < SHOWN for reason in counts):
            _add_first(first, some.slice(0, LOOKED_AT).to_pylist())
    details = (
        {(each["row"], each.get("part")): each.get("detail") for each in facts.details()} if counts else {}
    )
    return [
        Aside(
            reason,
            n,
            tuple(
                {**each, "detail": details.get((each["row"], each.get("part")))}
                for each in first.get(reason, ())
            ),
        )
        for reason, n in counts.most_common()
    ]


def _add_first(first: dict[str, list[dict[str, Any]]], rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        if len(held := first.setdefault(row["reason"], [])) < SHOWN:
            held.append(row)

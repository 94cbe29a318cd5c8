"""`scar why`: what became of a row, and for whom."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from scar.cli.parser import Parser

if TYPE_CHECKING:
    from scar.selection.why import Explained, Neighbour


def why(arguments: Sequence[str]) -> None:
    """Explain a row."""
    parser = Parser(
        "why",
        "Why a row of the pool was kept or dropped: scores, ranks, the rule, the row that took its place.",
    )
    parser.add_argument("kept", type=str, help="file written by `scar select` or `scar filter`")
    parser.add_argument("row", type=int, help="the row's number in the pool, from 0, as scar_row has it")
    parser.add_argument("--part", type=str, help="which of the row's responses, such as chosen; default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object a record")
    values = parser.read(arguments)
    from scar.selection.why import why as explain

    for found in explain(values["kept"], values["row"], values["part"]):
        if values["json"]:
            print(json.dumps(asdict(found), ensure_ascii=False))
        else:
            _print(found)


def _print(found: "Explained") -> None:
    name = f" ({found.id})" if found.id is not None else ""
    print(f"{_place(found)}{name}: {found.verdict}")
    if found.score is not None:
        print(
            f"  {found.by} {found.score:.4f}: place {found.place:,} of {found.scored:,}, "
            f"above {found.percentile:.1f} % of them"
        )
    for column, value in found.scores.items():
        if value is not None and column != found.by:
            print(f"  {column} {value:.4f}" if isinstance(value, float) else f"  {column} {value}")
    for stage in found.passed:
        print(f"  passed {stage}")
    for fact, value in found.facts.items():
        if not isinstance(value, list | dict):
            print(f"  {fact} {value:.4f}" if isinstance(value, float) else f"  {fact} {value}")
    if other := found.crowded_by:
        score = "" if other.score is None else f", {found.by} {other.score:.4f}"
        rank = "which a later rule dropped" if other.rank is None else f"kept, rank {other.rank:,}"
        print(f"  in favour of {_place(other)}{score}, {rank}")


def _place(at: "Explained | Neighbour") -> str:
    part = f", {at.part}" if at.part is not None else ""
    return f"row {at.row}{part} ({at.file}, line {at.line})"

"""How the rows were chosen: the stages, duplicates, and the audit that selection always makes."""

from collections.abc import Iterator, Mapping
from typing import Any

from scar.report.facts import Chosen
from scar.report.gather import Gathered
from scar.report.section import Grid, Section
from scar.report.shown import count, number, percent, short
from scar.report.svg.bars import bars
from scar.report.svg.marks import Svg
from scar.selection.why.manifest import Stage

LONGEST = 300
"""Characters of a rule, and of what it found, that are shown: one may name a thousand rows."""
COPIES = {"ExactDuplicates", "NearDuplicates", "SemanticDuplicates", "OnePass"}
"""Rules that remove copies."""


def stages(found: Gathered) -> Section | None:
    """Show what each stage left."""
    if (chosen := found.facts.chosen) is None:
        return None
    most = max((stage.came for stage in chosen.stages), default=0)
    rows = tuple(_stage(stage, most) for stage in chosen.stages)
    kept, scored = int(found.records.kept.sum()), int(found.records.scored.sum())
    share = percent(kept / scored) if scored else "none"
    steps = f"{_steps(len(rows))}, by {found.facts.by},"
    reading = f"{steps} took {count(scored)} scored records to {count(kept)} ({share})."
    grid = Grid(("rule", "", "in", "out", "found on the way"), rows, kind="stages")
    return Section("chosen", "How they were chosen", reading, grids=(grid,))


def _steps(number: int) -> str:
    return "One rule" if number == 1 else f"{number} rules, one after the other"


def _stage(stage: Stage, most: int) -> tuple[str | Svg, ...]:
    shares = [("pool", float(stage.came)), ("kept", float(stage.left))]
    told = short(", ".join(f"{name} {value}" for name, value in _entries(stage.facts)), LONGEST)
    return (short(stage.rule, LONGEST), bars(shares, most), count(stage.came), count(stage.left), told)


def duplicates(found: Gathered) -> Section | None:
    """Show what was removed as a copy, and what is left."""
    random, kept = copies(found)
    chosen = found.facts.chosen
    if chosen is None or (kept is None and not removed(chosen)):
        return None
    rows = tuple((short(s.rule, LONGEST), count(s.came), count(s.came - s.left)) for s in removed(chosen))
    told = [
        f"{count(sum(s.came - s.left for s in removed(chosen)))} records were removed as copies of better ones."
    ]
    if not rows:
        told = ["No rule removed copies: ExactDuplicates or NearDuplicates before the others would."]
    if random is not None and kept is not None:
        told.append(
            f"Of what was kept {percent(kept)} repeat another record, of as many at random {percent(random)}."
        )
    grids = (Grid(("rule", "records in", "removed"), rows, kind="plain"),) if rows else ()
    note = "A record repeats another one that has the same instruction and response, but for case and white space."
    return Section("duplicates", "Duplicates", " ".join(told), grids=grids, note=note)


def copies(found: Gathered) -> tuple[float | None, float | None]:
    """Give the share of records that repeat another one: of as many at random, and of what was kept."""
    audit = found.facts.chosen.audit if found.facts.chosen else {}
    if all("duplicates" in audit.get(side, {}) for side in ("random", "kept")) and found.records.kept.any():
        return audit["random"]["duplicates"], audit["kept"]["duplicates"]
    return found.twins.get("random, equal rows", {}).get("duplicates"), found.twins.get("kept", {}).get(
        "duplicates"
    )


def removed(chosen: Chosen) -> list[Stage]:
    """Give the stages that remove copies."""
    return [stage for stage in chosen.stages if stage.rule.partition("(")[0] in COPIES]


def audit(found: Gathered) -> Section | None:
    """Show what selection found of itself, beside as many records at random."""
    told = found.facts.chosen.audit if found.facts.chosen else {}
    if not told:
        return None
    sides = [_figures(told, side, ending) for side, ending in (("random", "_random"), ("kept", ""))]
    rows = tuple((name, sides[0].get(name, ""), sides[1].get(name, "")) for name in sides[1])
    grid = Grid(("", "as many at random", "kept"), rows, kind="plain")
    auc = told.get("length_auc")
    reading = "What `scar select` looks at whenever it chooses."
    if auc is not None:
        reading += f" Length alone tells kept from dropped with an AUC of {number(auc)}: 0.5 is not at all."
    note = (
        "Compression: bytes of the texts over their bytes after DEFLATE; higher where they repeat themselves."
    )
    return Section("audit", "Audit", reading, grids=(grid,), note=note)


def warnings(found: Gathered) -> list[str]:
    """Give what a reader must not miss."""
    return [str(each) for each in found.facts.chosen.audit.get("warnings", ())] if found.facts.chosen else []


_OF_A_SIDE = {"duplicates": percent, "repeated_instructions": percent, "compression": number}
_ALONE = {"mean_score": number, "mean_tokens": number, "radius": number}
_NAMES = {"radius": "k-center radius"}


def _figures(told: Mapping[str, Any], side: str, ending: str) -> dict[str, str]:
    """List one side's figures by name, those that there are."""
    alone = {
        name: write(told[name + ending])
        for name, write in _ALONE.items()
        if told.get(name + ending) is not None
    }
    inside = told.get(side, {})
    of_side = {name: write(inside[name]) for name, write in _OF_A_SIDE.items() if name in inside}
    return {_NAMES.get(name, name.replace("_", " ")): text for name, text in (alone | of_side).items()}


def _entries(told: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Flatten a mapping of JSON values to names and texts."""
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{above}{name}: ")
        elif isinstance(value, list):
            yield (
                above + name.replace("_", " "),
                ", ".join(map(_text, value[:12])) + (" ..." if len(value) > 12 else ""),
            )
        else:
            yield above + name.replace("_", " "), _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (
            {None: "none", True: "yes", False: "no"}.get(value, str(value))
            if not isinstance(value, dict | list)
            else str(value)
        )
    return count(value) if isinstance(value, int) else number(value)

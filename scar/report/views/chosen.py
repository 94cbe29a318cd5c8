"""How the rows were chosen: the stages, duplicates, and the audit that selection always makes."""

from collections.abc import Iterator, Mapping
from typing import Any

from scar.report.facts import Chosen
from scar.report.gather import Gathered
from scar.report.section import Grid, Section
from scar.report.shown import count, number, percent
from scar.report.svg.bars import bars
from scar.report.svg.marks import Svg
from scar.selection.why.manifest import Stage

SHOWN = 40
"""Entries of the audit that are shown."""


def stages(found: Gathered) -> Section | None:
    """Show what each stage left."""
    if (chosen := found.facts.chosen) is None:
        return None
    most = max((stage.came for stage in chosen.stages), default=0)
    rows = tuple(_stage(stage, most) for stage in chosen.stages)
    kept, scored = int(found.records.kept.sum()), int(found.records.scored.sum())
    share = percent(kept / scored) if scored else "none"
    reading = f"{_steps(len(rows))}, by {found.facts.by}, took {count(scored)} scored records to {count(kept)} ({share})."
    grid = Grid(("rule", "", "in", "out", "found on the way"), rows, kind="stages")
    return Section("chosen", "How they were chosen", reading, grids=(grid,))


def _steps(number: int) -> str:
    return "One rule" if number == 1 else f"{number} rules, one after the other"


def _stage(stage: Stage, most: int) -> tuple[str | Svg, ...]:
    shares = [("pool", float(stage.came)), ("kept", float(stage.left))]
    told = ", ".join(f"{name} {value}" for name, value in _entries(stage.facts))
    return (stage.rule, bars(shares, most), count(stage.came), count(stage.left), told)


def duplicates(found: Gathered) -> Section | None:
    """Show what was removed as a copy, and what is left."""
    pool = found.twins.get("pool", {}).get("duplicates")
    kept = found.twins.get("kept", {}).get("duplicates")
    chosen = found.facts.chosen
    if chosen is None or (pool is None and not removed(chosen)):
        return None
    rows = tuple((s.rule, count(s.came), count(s.came - s.left)) for s in removed(chosen))
    told = [
        f"{count(sum(s.came - s.left for s in removed(chosen)))} records were removed as copies of better ones."
    ]
    if not rows:
        told = ["No rule removed copies: ExactDuplicates or NearDuplicates before the others would."]
    if pool is not None and kept is not None:
        told.append(
            f"Of sampled texts, {percent(pool)} repeat another one in the pool, {percent(kept)} in what was kept."
        )
    grids = (Grid(("rule", "records in", "removed"), rows, kind="plain"),) if rows else ()
    note = "In the sample a copy has the same instruction and response, but for case and white space; the larger a sample, the more it finds."
    return Section("duplicates", "Duplicates", " ".join(told), grids=grids, note=note)


def removed(chosen: Chosen) -> list[Stage]:
    """Give the stages that remove copies."""
    return [
        stage for stage in chosen.stages if "Duplicates(" in stage.rule or stage.rule.endswith("Duplicates")
    ]


def audit(found: Gathered) -> Section | None:
    """Show the audit as it stands."""
    chosen = found.facts.chosen
    entries = list(_entries(chosen.audit)) if chosen else []
    if not entries:
        return None
    grid = Grid(("figure", "value"), tuple(entries[:SHOWN]), kind="plain")
    return Section("audit", "Audit", "What `scar select` found when it chose.", grids=(grid,))


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

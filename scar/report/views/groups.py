"""Where the records come from, before and after: by source, by language, by cluster; and on a map."""

from scar.report.examples import tenths
from scar.report.gather import Gathered
from scar.report.section import Figure, Grid, Section
from scar.report.shares import LONGEST_VALUE, Share, Shares
from scar.report.shown import count, percent, short
from scar.report.svg.bars import bars
from scar.report.svg.scatter import scatter_chart

NO_VALUE = "no value"


def groups(found: Gathered) -> Section | None:
    """Show shares by every column of few values."""
    if not found.groups or not found.records.scored.any():
        return None
    selected = found.facts.chosen is not None and bool(found.records.kept.any())
    readings = [_reading(each) for each in found.groups] if selected else []
    reading = " ".join(readings) or "How the scored records spread over the columns that were carried."
    note = "The upper bar is the share of the pool, the lower one that of what was kept." if selected else ""
    return Section(
        "shares",
        "Where they come from",
        reading,
        grids=tuple(_grid(each, selected) for each in found.groups),
        note=note,
    )


def _reading(each: Shares) -> str:
    gain = [(s.kept / each.kept - s.pool / each.pool, s) for s in each.values]
    most, least = max(gain, key=lambda pair: pair[0]), min(gain, key=lambda pair: pair[0])
    if each.moved < 0.02:
        return f"By {each.column} the kept records are as the pool is."
    up, down = (f"\u201c{_name(s)}\u201d ({_change(s, each)})" for _, s in (most, least))
    return f"By {each.column}, {percent(each.moved)} moved; {up} gained most, {down} lost most."


def _change(one: Share, each: Shares) -> str:
    return f"{percent(one.pool / each.pool)} to {percent(one.kept / each.kept)}"


def _name(one: Share) -> str:
    return NO_VALUE if one.value is None else short(one.value, LONGEST_VALUE) or "empty"


def _grid(each: Shares, selected: bool) -> Grid:
    of_kept = each.kept or 1
    most = max(max(s.pool / each.pool, s.kept / of_kept if selected else 0) for s in each.values)
    rows = []
    for one in each.values:
        shares = [("pool", one.pool / each.pool)] + ([("kept", one.kept / of_kept)] if selected else [])
        numbers = [
            percent(one.pool / each.pool),
            percent(one.kept / of_kept) if selected else count(one.pool),
        ]
        rows.append((_name(one), bars(shares, most), *numbers))
    head = (each.column, "", "pool", "kept" if selected else "records")
    return Grid(head, tuple(rows), kind="shares two" if selected else "shares")


def on_map(found: Gathered) -> Section | None:
    """Show the pool on two axes."""
    if (flat := found.map) is None:
        return None
    records = found.records
    kept = records.kept[flat.records]
    told = f"The two axes hold {percent(flat.explained)} of the variance of the embeddings."
    if records.kept.any():
        classes = [("pool", ~kept), ("kept", kept)]
        reading = f"What was kept, in colour, on the pool, in grey. {told}"
    else:
        of = tenths(records.score)[flat.records]
        classes = [(f"t{n}", (of - 1) // 2 == n) for n in range(5)]
        reading = f"The stronger the colour of a point, the higher its score, in fifths. {told}"
    chart = scatter_chart(flat.points, classes, reading)
    caption = (
        f"{count(len(flat.records))} sampled records on the first two principal axes of their embeddings."
    )
    if records.kept.any():
        caption += (
            f" {count(int(kept.sum()))} of them were kept: more than their share, so that they are seen."
        )
    return Section(
        "map",
        "Map of the pool",
        reading,
        (Figure(chart, caption),),
        note="What is near on it is alike; the axes have no names.",
    )

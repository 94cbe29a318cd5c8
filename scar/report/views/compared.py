"""Style spread of the kept rows against the pool; and the selection beside its twins."""

from collections.abc import Mapping
from math import isnan

from scar.report.gather import STYLED, Gathered
from scar.report.section import Grid, Section
from scar.report.shown import NONE, count, number, percent
from scar.report.svg.bars import intervals
from scar.report.svg.marks import Svg
from scar.report.twins import SEEDS, TEXTS, Figures
from scar.selection.style_spread import FEATURES, Spread

SAME = 0.02
"""Deviations this near to each other are the same."""
SHARES = {"punctuation share", "markup share"}
TWINS = {
    "records": count,
    "tokens": count,
    "tokens a record": number,
    "mean score": number,
    "duplicates": percent,
    "repeated instructions": percent,
    "clusters reached": "{:.3g}".format,
    "type-token ratio": number,
    "words a sentence": number,
}


def styles(found: Gathered) -> Section | None:
    """Show mean and deviation of every number of style."""
    pool, kept = found.styles.get("pool"), found.styles.get("kept")
    if not pool or not any(each.texts for each in pool.values()):
        return None
    rows = tuple(_style(name, pool[name], kept[name] if kept else None) for name in FEATURES)
    head = ("", "", "pool", "kept", "change of deviation") if kept else ("", "", "pool")
    texts = max(each.texts for each in pool.values())
    note = (
        f"Mean ± standard deviation over {count(texts)} sampled responses of the pool"
        + (f" and {count(max(e.texts for e in kept.values()))} kept ones" if kept else "")
        + f", at most {count(STYLED)} each. A ranker of consistent style is expected to make the deviations smaller."
        " A longer text has a lower type-token ratio."
    )
    return Section(
        "style",
        "Style spread",
        _style_reading(pool, kept),
        grids=(Grid(head, rows, kind="spread"),),
        note=note,
    )


def _style_reading(pool: Mapping[str, Spread], kept: Mapping[str, Spread] | None) -> str:
    if not kept:
        return "How much the pool's responses vary in the way they are written."
    ratios = {name: _ratio(pool[name], kept[name]) for name in FEATURES}
    less = [name for name, ratio in ratios.items() if ratio < 1 - SAME]
    more = [name for name, ratio in ratios.items() if ratio > 1 + SAME]
    told = [
        f"{word}: {', '.join(names)}."
        for names, word in ((less, "Less varied"), (more, "More varied"))
        if names
    ]
    return " ".join(
        ["Kept responses against the pool.", *told] if told else ["The kept responses vary as the pool's do."]
    )


def _ratio(pool: Spread, kept: Spread) -> float:
    return kept.deviation / pool.deviation if pool.deviation > 0 else float("nan")


def _style(name: str, pool: Spread, kept: Spread | None) -> tuple[str | Svg, ...]:
    write = percent if name in SHARES else number
    both = [("pool", pool)] + ([("kept", kept)] if kept else [])
    lines = [
        (who, s.mean, s.mean - s.deviation, s.mean + s.deviation) for who, s in both if not isnan(s.mean)
    ]
    ends = (min([0.0, *(low for *_, low, _ in lines)]), max([high for *_, high in lines], default=1.0) or 1.0)
    cells: tuple[str | Svg, ...] = (
        name,
        intervals(lines, ends),
        *(f"{write(s.mean)} ± {write(s.deviation)}" for _, s in both),
    )
    return cells if kept is None else (*cells, _change(_ratio(pool, kept)))


def _change(ratio: float) -> str:
    if isnan(ratio):
        return NONE
    return ("+" if ratio > 1 else "") + percent(ratio - 1)


def twins(found: Gathered) -> Section | None:
    """Show the figures of every contender."""
    if len(found.twins) < 2:
        return None
    shown = [name for name in TWINS if name in found.twins["kept"]]
    rows = tuple((who, *(_cell(name, told) for name in shown)) for who, told in found.twins.items())
    note = (
        f"Random: the mean of {SEEDS} seeds. Copies, instructions and style are of samples of one size, at most "
        f"{count(TEXTS)} texts; type-token ratio and words a sentence as mean ± standard deviation."
    )
    grid = Grid(("", *shown), rows, marked=list(found.twins).index("kept"), kind="twins")
    return Section("twins", "Beside honest twins", _reading(found.twins), grids=(grid,), note=note)


def _cell(name: str, told: Figures) -> str:
    text = TWINS[name](told.get(name, float("nan")))
    beside = told.get(f"{name}, deviation")
    return text if beside is None else f"{text} ± {number(beside)}"


def _reading(told: Mapping[str, Figures]) -> str:
    kept, random = told["kept"], told["random, equal rows"]
    words = [
        f"The kept records' mean score is {number(kept['mean score'])}; "
        f"as many at random have {number(random['mean score'])}"
    ]
    if "longest, equal rows" in told:
        words.append(f", the longest {number(told['longest, equal rows']['mean score'])}")
    words.append(".")
    if "duplicates" in kept:
        words.append(f" Copies: {percent(kept['duplicates'])}, at random {percent(random['duplicates'])}.")
    return "".join(words)

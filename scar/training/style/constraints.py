"""Which tier pairs of a row may teach: SCAR's quality constraints, applied before anything is loaded.

Inequalities are strict, and identical texts never count, as in the original.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from scar.errors import InputError
from scar.records import Tiers
from scar.settings import StyleSettings


def tier_pairs(tiers: Sequence[str]) -> list[tuple[str, str]]:
    """Give every (better, worse) pair of tiers that are named best first."""
    return list(combinations(tiers, 2))


def check_tiers(rows: Sequence[Tiers], tiers: Sequence[str]) -> None:
    """Raise InputError at the first response under a tier that the recipe does not name."""
    for row in rows:
        for tier in row.responses:
            if tier not in tiers:
                raise InputError(
                    f"{row.address.file}, line {row.address.line}: tier {tier!r} is not among the recipe's tiers "
                    f"{list(tiers)}; add it there, best first, or remove it from the data"
                )


def resolve_mode(rows: Sequence[Tiers], settings: StyleSettings) -> str:
    """Give the constraint in force. Raises InputError where it needs a quality that a tier lacks."""
    if settings.constraint == "auto":
        mode = "abs" if any(row.quality for row in rows) else "none"
    else:
        mode = settings.constraint
    if mode == "none":
        return mode
    for row in rows:
        for tier in row.responses:
            if tier not in row.quality:
                raise InputError(
                    f"{row.address.file}, line {row.address.line}: constraint {mode!r} needs a quality for tier "
                    f"{tier!r}; add it, or set constraint: none"
                )
    return mode


def passes(mode: str, better: float, worse: float, least: float, most: float) -> bool:
    """Tell whether two qualities satisfy a constraint mode."""
    match mode:
        case "none":
            return True
        case "abs":
            return min(better, worse) > least and max(better, worse) < most
        case "abs_pos":
            return least < better < most
        case "diff":
            return abs(better - worse) < most
        case "abs_diff":
            return abs(better - worse) < most and min(better, worse) > least
    raise InputError(f"no constraint mode {mode!r}")


def eligible(row: Tiers, mode: str, settings: StyleSettings) -> set[tuple[str, str]]:
    """Give the tier pairs of a row that teach."""
    found = set()
    for better, worse in tier_pairs(settings.tiers):
        if better not in row.responses or worse not in row.responses:
            continue
        if row.responses[better] == row.responses[worse]:
            continue
        quality = (row.quality.get(better, 0.0), row.quality.get(worse, 0.0))
        if passes(mode, *quality, settings.constraint_min, settings.constraint_max):
            found.add((better, worse))
    return found


def describe(kept: Sequence[set[tuple[str, str]]], settings: StyleSettings) -> dict[str, int]:
    """Count the teaching pairs by tier pair."""
    counts = Counter(pair for pairs in kept for pair in pairs)
    return {f"{better}>{worse}": counts[better, worse] for better, worse in tier_pairs(settings.tiers)}

"""The numbers that come first."""

from math import isnan

import numpy as np

from scar.report.gather import Gathered
from scar.report.section import Tile
from scar.report.shown import count, number, percent, signed
from scar.report.views.chosen import copies


def tiles(found: Gathered) -> list[Tile]:
    """Give the headline numbers, those that there are."""
    records = found.records
    scored, kept = records.scored, records.scored & records.kept
    total = int(scored.sum())
    shown = []
    if found.facts.chosen is not None:
        share = f"{percent(kept.sum() / total)} of {count(total)} scored" if total else "none was scored"
        shown.append(Tile(count(kept.sum()), "records kept", share))
    else:
        shown.append(Tile(count(total), "records scored", f"of {count(found.facts.rows)} rows"))
    if total:
        shown.append(_mean(found, kept if kept.any() else scored))
    if not isnan(found.length_correlation):
        beside = (
            ""
            if isnan(found.kept_length_correlation)
            else f"among those kept {signed(found.kept_length_correlation)}"
        )
        shown.append(Tile(signed(found.length_correlation), "correlation of score and length", beside))
    shown += _copies(found)
    if records.tokens is not None and total:
        mask = kept if kept.any() else scored
        beside = (
            f"of {count(records.tokens[scored].sum())}"
            if kept.any()
            else f"{number(float(np.mean(records.tokens[mask])))} a record"
        )
        shown.append(Tile(count(records.tokens[mask].sum()), "tokens", beside))
    shown.append(
        Tile(count(sum(each.count for each in found.aside)), "set aside", f"of {count(len(records))} records")
    )
    return shown


def _mean(found: Gathered, mask: np.ndarray) -> Tile:
    score, scored = found.records.score.astype(np.float64), found.records.scored
    whole = f"pool {number(score[scored].mean())} ± {number(score[scored].std())}"
    if found.records.kept.any():
        return Tile(number(score[mask].mean()), "mean score", whole)
    return Tile(number(score[mask].mean()), "mean score", f"± {number(score[mask].std())}")


def _copies(found: Gathered) -> list[Tile]:
    random, kept = copies(found)
    if kept is not None and random is not None:
        return [Tile(percent(kept), "repeat another record", f"at random {percent(random)}")]
    pool = found.twins.get("pool", {}).get("duplicates")
    return [] if pool is None else [Tile(percent(pool), "of a sample repeat another record")]

"""All that a page shows, computed from a run or a selection; what cannot be had is named, with how to get it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.ranks import spearman
from scar.records import Record
from scar.report.aside import Aside, asides
from scar.report.clusters import Clusters, cluster_shares, clusters, names
from scar.report.examples import Drawn, drawn
from scar.report.facts import Facts, Records, take
from scar.report.flat import Flat, flat
from scar.report.ranker import Ranker, ranker_of
from scar.report.reading import read_texts
from scar.report.shares import Shares, audited, shares
from scar.report.twins import TEXTS, Figures, contenders, figures, sampled
from scar.runs import Embeddings
from scar.selection.style_spread import Spread

STYLED = 2000
"""Texts of the pool, and of those kept, whose style is measured."""
T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """One record that is shown."""

    number: int
    tenth: int
    record: Record
    told: Mapping[str, Any]
    """Its columns."""


@dataclass
class Gathered:
    """What a page is written from."""

    facts: Facts
    records: Records
    length_correlation: float = float("nan")
    kept_length_correlation: float = float("nan")
    groups: list[Shares] = field(default_factory=list)
    map: Flat | None = None
    styles: dict[str, Mapping[str, Spread]] = field(default_factory=dict)
    twins: dict[str, Figures] = field(default_factory=dict)
    rankers: list[Ranker] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What is not there, and how to get it, a sentence each."""

    def attempt(self, what: str, get: Callable[[], T]) -> T | None:
        """Get something, or say why it is left out."""
        try:
            return get()
        except InputError as error:
            self.left_out.append(f"{what}: {error}.")
            return None


def gather(facts: Facts, seed: int = 0) -> Gathered:
    """Read and compute everything."""
    found = Gathered(facts, Records.of(facts))
    records = found.records
    found.length_correlation = _correlation(records, records.scored)
    found.kept_length_correlation = _correlation(records, records.scored & records.kept)
    if records.tokens is None:
        found.left_out.append("Length: these scores have no column of tokens; score the pool again.")
    if facts.chosen is None:
        found.left_out.append(
            "What was kept: this is a run alone. `scar select RUN --out KEPT`, then `scar report KEPT`."
        )
    found.groups, many = shares(facts, records)
    for column in many:
        found.left_out.append(f"Shares of `{column}`: it has too many values to tell groups by.")
    if facts.chosen is not None:
        found.groups += audited(facts.chosen, [*many, *(each.column for each in found.groups)])
    if not found.groups and not many:
        found.left_out.append("Source and language: no column was carried. `scar score --carry source,lang`.")
    grouped = _embedded(found, seed)
    _written(found, grouped, seed)
    found.rankers = [each for path in facts.bundles if (each := _ranker(found, path))]
    if not facts.bundles:
        found.left_out.append("The ranker: these scores did not come from a bundle.")
    found.aside = asides(facts)
    return found


def _correlation(records: Records, mask: NDArray[np.bool_]) -> float:
    if records.tokens is None or mask.sum() < 2:
        return float("nan")
    return spearman(records.score[mask], records.tokens[mask])


def _ranker(found: Gathered, path: str) -> Ranker | None:
    return found.attempt("The ranker", lambda: ranker_of(Path(path), found.facts.bundle_hashes))


def _embedded(found: Gathered, seed: int) -> Clusters | None:
    """Add the map, and give the clusters."""
    if not found.records.scored.any():
        return None
    embeddings: Embeddings | None = found.attempt("Map and clusters", found.facts.embeddings)
    if embeddings is None:
        return None
    if embeddings.shape[0] != len(found.records):
        found.left_out.append("Map and clusters: the embeddings are not as many as the records.")
        return None
    found.map = flat(embeddings, found.records, seed)
    return found.attempt("Clusters", lambda: clusters(embeddings, found.records, seed))


def _written(found: Gathered, grouped: Clusters | None, seed: int) -> None:
    """Add all that is read of the texts: styles, twins, examples, the names of clusters."""
    facts, records = found.facts, found.records
    entrants, shown = contenders(records, seed), drawn(records, seed)
    pool = sampled(np.flatnonzero(records.scored), seed, STYLED)
    kept = sampled(np.flatnonzero(records.kept & records.scored), seed, STYLED)
    most = min(TEXTS, len(kept) or TEXTS)
    compared = [sampled(choice, seed, most) for each in entrants for choice in each.choices]
    wanted = np.unique(np.concatenate([pool, kept, shown.records, *compared]))
    read = found.attempt("Texts", lambda: read_texts(facts, records, wanted, pool, shown.records))
    if read is not None:
        found.styles = {"pool": read.spread(pool)} | ({"kept": read.spread(kept)} if len(kept) else {})
        found.examples = _examples(found, shown, read.shown)
    if grouped is not None:
        named = names(grouped, read.words if read else {})
        found.groups.append(cluster_shares(grouped, records, named))
    if records.scored.any():
        written = read.written if read else None
        found.twins = {each.name: figures(each, records, written, grouped, seed, most) for each in entrants}


def _examples(found: Gathered, shown: Drawn, texts: Mapping[int, Record]) -> list[Example]:
    """Join the records that are shown with their columns."""
    there = found.facts.table.schema.names
    wanted = [name for name in there if name not in ("row", "reason")]
    order = np.sort(shown.records)
    columns = take(found.facts.table, wanted, order)
    told = {int(n): {name: columns[name][place] for name in wanted} for place, n in enumerate(order)}
    return [
        Example(int(n), int(tenth), texts[int(n)], told[int(n)])
        for n, tenth in zip(shown.records, shown.tenths, strict=True)
    ]

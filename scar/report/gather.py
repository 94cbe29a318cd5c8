"""All that a page shows, computed from a run or a selection; what cannot be had is named, with how to get it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.ranks import spearman
from scar.records import Record, instruction_key, normalised
from scar.report.clusters import Clusters, cluster_shares, clusters, names, telling
from scar.report.examples import Drawn, drawn
from scar.report.facts import Facts, Records, take
from scar.report.flat import Flat, flat
from scar.report.ranker import Ranker, ranker_of
from scar.report.shares import Shares, audited, shares
from scar.report.texts import texts_of
from scar.report.twins import TEXTS, Figures, Written, contenders, figures, sampled
from scar.runs import Embeddings
from scar.selection.style_spread import Spread, spread, style

STYLED = 2000
"""Texts of the pool, and of those kept, whose style is measured."""
SET_ASIDE_EXAMPLES = 3
T = TypeVar("T")


@dataclass(frozen=True)
class Aside:
    """Records that were set aside for one reason: how many, and the first of them."""

    reason: str
    count: int
    examples: tuple[Mapping[str, Any], ...]


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
    found.aside = _aside(facts)
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
    records = found.records
    entrants, shown = contenders(records, seed), drawn(records, seed)
    pool = sampled(np.flatnonzero(records.scored), seed, STYLED)
    kept = sampled(np.flatnonzero(records.kept & records.scored), seed, STYLED)
    most = min([TEXTS, *(len(choice) for each in entrants for choice in each.choices)])
    compared = [sampled(choice, seed, most) for each in entrants for choice in each.choices]
    wanted = np.unique(np.concatenate([pool, kept, shown.records, *compared]))
    read = found.attempt("Texts", lambda: _read(found, wanted, pool, shown))
    if read is not None:
        found.styles = {"pool": _spread(read, pool)} | ({"kept": _spread(read, kept)} if len(kept) else {})
        found.examples = _examples(found, shown, read.shown)
    if grouped is not None:
        named = names(grouped, read.words if read else {})
        found.groups.append(cluster_shares(grouped, records, named))
    if records.scored.any():
        written = read.written if read else None
        found.twins = {each.name: figures(each, records, written, grouped, seed, most) for each in entrants}


@dataclass
class _Read:
    written: dict[int, Written] = field(default_factory=dict)
    words: dict[int, list[str]] = field(default_factory=dict)
    """Of the pool's sample."""
    shown: dict[int, Record] = field(default_factory=dict)


def _read(found: Gathered, wanted: NDArray[np.int64], pool: NDArray[np.int64], shown: Drawn) -> _Read:
    """Read the wanted records once; the texts of those that are shown alone are held."""
    if not len(wanted):
        return _Read()
    read, of_pool, held = _Read(), set(pool.tolist()), set(shown.records.tolist())
    for number, record in texts_of(found.facts, found.facts.pool(), found.records, wanted):
        asked = instruction_key(record)
        same = hash((asked, normalised(record.response)))
        read.written[number] = Written(style(record.response), same, hash(asked))
        if number in of_pool:
            read.words[number] = telling(
                f"{record.turns[-1].text if record.turns else ''}\n{record.response}"
            )
        if number in held:
            read.shown[number] = record
    return read


def _spread(read: _Read, some: Sequence[int] | NDArray[np.int64]) -> Mapping[str, Spread]:
    return spread(read.written[int(number)].style for number in some)


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


def _aside(facts: Facts) -> list[Aside]:
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
        if any(len(first.get(reason, ())) < SET_ASIDE_EXAMPLES for reason in counts):
            _add_first(first, some.slice(0, 10_000).to_pylist())
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
        if len(held := first.setdefault(row["reason"], [])) < SET_ASIDE_EXAMPLES:
            held.append(row)

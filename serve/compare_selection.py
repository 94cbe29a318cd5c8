"""What rules do to a pool: rank alone, Diverse, Clusters and KCenter beside random and longest, of equal rows.

    scar score pool.jsonl.gz --ranker B --embeddings ENCODER --out RUN
    python serve/compare_selection.py RUN --top 1000

Of every selection: mean score, tokens, copies (exact, and near: what NearDuplicates would still drop of it), clusters
of the pool that it reaches, radius, repeated instructions, compression, and how its responses are written: mean and
standard deviation over the kept of type-token ratio, words a sentence, punctuation, markup. Random is a mean of seeds.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scar.ranks import spearman
from scar.records import Record
from scar.rules import (
    Clusters,
    Diverse,
    ExactDuplicates,
    KCenter,
    Longest,
    NearDuplicates,
    Random,
    Rule,
    Scored,
    TopK,
)
from scar.runs import open_folder, require_finished
from scar.selection.audit.audit import radius
from scar.selection.audit.side import Tally
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.vectors import Vectors
from scar.selection.output import pool_files
from scar.selection.style_spread import FEATURES, spread, style

CLUSTERS = 100
"""Clusters of the pool, of which a selection reaches some."""
Numbers = NDArray[np.int64]
Row = dict[str, float]


def main() -> None:
    """Select in every way, and print a line of figures each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="run folder with embeddings")
    parser.add_argument("--top", type=int, default=1000, help="records to keep")
    parser.add_argument("--tau", type=float, default=0.7, help="cosine above which Diverse takes one of two")
    parser.add_argument("--seeds", type=int, default=3, help="random twins")
    parser.add_argument("--json", help="file for the figures")
    values = parser.parse_args()
    folder = open_folder(values.run)
    plan = require_finished(folder)
    scored = Scored.of_run(folder, None, pool_files(plan))
    k = values.top
    rules: dict[str, list[Rule]] = {
        "rank alone": [TopK(k)],
        f"Diverse, tau {values.tau}": [Diverse(k=k, tau=values.tau)],
        "NearDuplicates, Diverse": [NearDuplicates() + Diverse(k=k, tau=values.tau)],
        "Clusters (100), best inside": [Clusters(k=k, clusters=CLUSTERS)],
        "best half, then KCenter": [TopK(int(scored.eligible.sum()) // 2) + KCenter(k=k, outliers=0.01)],
        "KCenter": [KCenter(k=k, outliers=0.01)],
        "random": [Random(k=k, seed=seed) for seed in range(values.seeds)],
        "longest": [Longest(k=k)],
    }
    kept = {name: [np.sort(rule.select(scored).rows) for rule in some] for name, some in rules.items()}
    kept["the pool"] = [np.flatnonzero(scored.eligible)]
    tokens = int(scored.tokens()[kept["rank alone"][0]].sum())
    equal: dict[str, list[Rule]] = {
        "random, equal tokens": [Random(tokens=tokens, seed=seed) for seed in range(values.seeds)],
        "longest, equal tokens": [Longest(tokens=tokens)],
    }
    kept |= {name: [np.sort(rule.select(scored).rows) for rule in some] for name, some in equal.items()}
    table = measured(scored, kept)
    rho = spearman(scored.column()[scored.eligible], scored.tokens()[scored.eligible])
    print(
        f"{values.run}: {int(scored.eligible.sum()):,} scored records; score against tokens: Spearman {rho:.2f}\n"
    )
    show(table)
    if values.json:
        with open(values.json, "w", encoding="utf-8") as stream:
            json.dump(table, stream, indent=2)


def measured(scored: Scored, kept: Mapping[str, list[Numbers]]) -> dict[str, Row]:
    """Give the figures of every selection, the mean of several of one kind."""
    vectors, pool = scored.embeddings(), np.flatnonzero(scored.eligible)
    groups = np.full(len(scored), -1)
    groups[pool] = k_means(Vectors(vectors, pool), CLUSTERS).labels
    wanted = {int(number) for some in kept.values() for one in some for number in one}
    texts = {number: record for number, record in scored.records() if number in wanted}
    styles = {number: style(record.response) for number, record in texts.items()}
    found: dict[str, Row] = {}
    for name, some in kept.items():
        rows = [_row(scored, one, groups, texts, styles) for one in some]
        if name != "the pool":
            rows = [
                {**row, "radius": radius(vectors, pool, one)} for row, one in zip(rows, some, strict=True)
            ]
        found[name] = {figure: float(np.mean([row[figure] for row in rows])) for figure in rows[0]}
    return found


def _row(
    scored: Scored,
    kept: Numbers,
    groups: Numbers,
    texts: Mapping[int, Record],
    styles: Mapping[int, tuple[float, ...]],
) -> Row:
    alone = replace(scored, eligible=np.isin(np.arange(len(scored)), kept))
    tally = Tally()
    for number in kept:
        tally.add(texts[int(number)], {})
    side = tally.side()
    row = {
        "records": float(len(kept)),
        "mean score": float(scored.column()[kept].mean(dtype=np.float64)),
        "tokens each": float(scored.tokens()[kept].mean()),
        "exact copies": 1 - len(ExactDuplicates().select(alone).rows) / len(kept),
        "near copies": 1 - len(NearDuplicates().select(alone).rows) / len(kept),
        "instructions again": side.repeated_instructions,
        "clusters": float(len(np.unique(groups[kept]))),
        "compression": side.compression,
    }
    for name, each in spread(styles[int(number)] for number in kept).items():
        row |= {name: each.mean, f"{name}, sd": each.deviation}
    return row


def show(table: Mapping[str, Row]) -> None:
    """Print a line of figures a selection."""
    figures = list(dict.fromkeys(figure for row in table.values() for figure in row))
    for some in (
        [f for f in figures if not f.startswith(tuple(FEATURES))],
        [f for f in figures if f.startswith(tuple(FEATURES))],
    ):
        print("| selection | " + " | ".join(some) + " |\n|---|" + "---|" * len(some))
        for name, row in table.items():
            print(f"| {name} | " + " | ".join(_shown(f, row.get(f)) for f in some) + " |")
        print()


def _shown(figure: str, value: float | None) -> str:
    if value is None:
        return ""
    if "copies" in figure or "again" in figure:
        return f"{value:.1%}"
    return f"{value:,.0f}" if figure in ("records", "tokens each", "clusters") else f"{value:.3f}"


if __name__ == "__main__":
    main()

"""The selection beside honest twins: as many records, and as many tokens, at random and the longest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.report.clusters import Clusters
from scar.report.facts import Records
from scar.selection.rules import Longest, Random, Rule
from scar.selection.scored import Scored
from scar.selection.style_spread import FEATURES

SEEDS = 3
"""Random twins; their figures are averaged, for one may be lucky."""
TEXTS = 1000
"""Texts of each contender that are read, at most: as many of each."""
Figures = dict[str, float]


@dataclass(frozen=True)
class Written:
    """What is remembered of a text that was read."""

    style: tuple[float, ...]
    same: int
    """Equal for equal texts, but for case and white space."""
    asked: int
    """Equal for equal instructions."""


@dataclass(frozen=True)
class Contender:
    """A choice of records, or several of one kind whose figures are averaged: sorted numbers each."""

    name: str
    choices: tuple[NDArray[np.int64], ...]


def contenders(records: Records, seed: int) -> list[Contender]:
    """Give the pool, what was kept, and its twins; the pool alone where nothing was kept."""
    kept = np.flatnonzero(records.kept & records.scored)
    found = [Contender("pool", (np.flatnonzero(records.scored),)), Contender("kept", (kept,))]
    if not len(kept):
        return found[:1]
    tokens = int(records.tokens[kept].sum()) if records.tokens is not None else 0
    same: dict[str, dict[str, int]] = {"rows": {"k": len(kept)}} | (
        {"tokens": {"tokens": tokens}} if tokens else {}
    )
    rows = Scored.of_columns(
        "score",
        score=records.score,
        tokens=np.zeros(len(records)) if records.tokens is None else records.tokens,
    )
    for what, budget in same.items():
        found.append(
            _chosen(f"random, equal {what}", rows, [Random(**budget, seed=seed + n) for n in range(SEEDS)])
        )
        if tokens:
            found.append(_chosen(f"longest, equal {what}", rows, [Longest(**budget)]))
    return found


def _chosen(name: str, rows: Scored, rules: Sequence[Rule]) -> Contender:
    return Contender(name, tuple(np.sort(rule.select(rows).rows) for rule in rules))


def sampled(choice: NDArray[np.int64], seed: int, most: int = TEXTS) -> NDArray[np.int64]:
    """Draw some of a choice, sorted; the same under one seed."""
    return np.sort(np.random.default_rng(seed).permutation(choice)[:most])


def figures(
    contender: Contender,
    records: Records,
    written: Mapping[int, Written] | None = None,
    grouped: Clusters | None = None,
    seed: int = 0,
    most: int = TEXTS,
) -> Figures:
    """Average the figures of a contender's choices; what cannot be told is missing.

    `most` texts of each are looked at: of a larger sample more would be copies.
    """
    each = [_of(choice, records, written, grouped, (seed, most)) for choice in contender.choices]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _of(
    choice: NDArray[np.int64],
    records: Records,
    written: Mapping[int, Written] | None,
    grouped: Clusters | None,
    sample: tuple[int, int],
) -> Figures:
    told: Figures = {"records": len(choice)}
    if records.tokens is not None:
        told["tokens"] = int(records.tokens[choice].sum())
        told["tokens a record"] = _mean(records.tokens[choice])
    told["mean score"] = _mean(records.score[choice].astype(np.float64))
    if grouped is not None and grouped.number:
        there = grouped.of[choice]
        told["clusters reached"] = len(np.unique(there[there >= 0]))
    if written is not None:
        told |= _of_texts([written[int(n)] for n in sampled(choice, *sample)])
    return told


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _of_texts(texts: Sequence[Written]) -> Figures:
    if not texts:
        return {}
    styles = np.asarray([text.style for text in texts])
    told = {
        "duplicates": 1 - len({text.same for text in texts}) / len(texts),
        "repeated instructions": 1 - len({text.asked for text in texts}) / len(texts),
    }
    for name, column in zip(FEATURES, styles.T, strict=True):
        there = column[~np.isnan(column)]
        told[name] = float(there.mean()) if len(there) else float("nan")
        told[f"{name}, deviation"] = float(there.std()) if len(there) else float("nan")
    return told

"""Groups of alike records by k-means over their embeddings, each named by the words that set it apart."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.report.facts import Records
from scar.report.shares import Share, Shares
from scar.runs import Embeddings
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.vectors import Vectors
from scar.selection.style_spread import words

NUMBER = 16
"""Clusters."""


@dataclass(frozen=True)
class Clusters:
    """The cluster of every record, -1 where it has none: shape (n,)."""

    of: NDArray[np.int16]
    number: int


def clusters(embeddings: Embeddings, records: Records, seed: int) -> Clusters:
    """Find clusters among the scored records. InputError where one of them has no embedding."""
    found = np.full(len(records), -1, dtype=np.int16)
    vectors = Vectors(embeddings, np.flatnonzero(records.scored))
    if not len(vectors):
        return Clusters(found, 0)
    means = k_means(vectors, NUMBER, seed=seed)
    found[vectors.records] = means.labels
    return Clusters(found, len(means.centres))


def names(found: Clusters, texts: Mapping[int, Sequence[str]]) -> list[str]:
    """Name clusters by three words each that set their sampled texts apart.

    `texts` maps a record's number to the words of its text.
    """
    everywhere: Counter[str] = Counter(word for each in texts.values() for word in set(each))
    named = []
    for number in range(found.number):
        inside = [set(each) for record, each in texts.items() if found.of[record] == number]
        here = Counter(word for each in inside for word in each)
        lift = {
            word: _lift(c / len(inside), everywhere[word] / len(texts)) for word, c in here.items() if c > 1
        }
        best = sorted(lift, key=lambda word: (-lift[word], word))[:3]
        named.append(f"{number + 1}: {', '.join(best)}" if best else str(number + 1))
    return named


def _lift(inside: float, everywhere: float) -> float:
    """Weigh how frequent a word is by how much more frequent it is than anywhere."""
    return inside * math.log(inside / everywhere)


def telling(text: str) -> list[str]:
    """Give the words of a text that can name a cluster."""
    return [word for word in words(text[:2000]) if len(word) > 2 and not word.isdigit()]


def cluster_shares(found: Clusters, records: Records, named: Sequence[str]) -> Shares:
    """Count the clusters of the pool and of what was kept."""
    pool = np.bincount(found.of[found.of >= 0], minlength=found.number)
    kept = np.bincount(found.of[records.kept & (found.of >= 0)], minlength=found.number)
    order = np.argsort(-pool, kind="stable")
    return Shares("cluster", tuple(Share(named[n], int(pool[n]), int(kept[n])) for n in order))

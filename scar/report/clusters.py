"""Groups of alike records by k-means over their embeddings, each named by the words that set it apart."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.report.facts import Records
from scar.report.shares import Share, Shares
from scar.runs import Embeddings
from scar.selection.style_spread import words

NUMBER = 16
"""Clusters."""
FITTED_ON = 10_000
"""Records that the centres are fitted on, at most."""
ROUNDS = 25


@dataclass(frozen=True)
class Clusters:
    """The cluster of every record, -1 where it has none: shape (n,)."""

    of: NDArray[np.int16]
    number: int


def clusters(embeddings: Embeddings, records: Records, seed: int) -> Clusters:
    """Fit the centres on a sample, and give every scored record the nearest. InputError without scikit-learn."""
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        raise InputError(
            "k-means needs scikit-learn, which is not installed: pip install 'scar-rank[select]'"
        ) from None
    scored = np.flatnonzero(records.scored)
    sample = np.sort(np.random.default_rng(seed).permutation(scored)[:FITTED_ON])
    number = min(NUMBER, len(sample))
    found = np.full(len(records), -1, dtype=np.int16)
    if number:
        centres = (
            KMeans(number, n_init=1, max_iter=ROUNDS, random_state=seed)
            .fit(embeddings.take(sample))
            .cluster_centers_
        )
        for some, block in embeddings.blocks(scored):
            found[some] = nearest(block, centres)
    return Clusters(found, number)


def nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """Give the number of the nearest centre of each point, by Euclid; the first wins a tie."""
    away = (centres**2).sum(axis=1) - 2 * points @ centres.T
    found: NDArray[np.int64] = np.argmin(away, axis=1)
    return found


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

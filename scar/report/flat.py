"""The pool laid flat: embeddings of a sample on their first two principal axes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.report.facts import Records
from scar.runs import Embeddings

MOST_OF_POOL, MOST_KEPT = 1800, 1000


@dataclass(frozen=True)
class Flat:
    """Sampled records, and where they stand: points of shape (m, 2)."""

    records: NDArray[np.int64]
    points: NDArray[np.float64]
    explained: float
    """Share of the sample's variance that the two axes hold."""


def flat(embeddings: Embeddings, records: Records, seed: int) -> Flat:
    """Take a sample of the pool, and more of what was kept, and project both on the axes of the pool's sample."""
    rng = np.random.default_rng(seed)
    pool = rng.permutation(np.flatnonzero(records.scored))[:MOST_OF_POOL]
    kept = rng.permutation(np.flatnonzero(records.kept & records.scored))[:MOST_KEPT]
    shown = np.unique(np.concatenate([pool, kept]))
    axes, mean, explained = principal(embeddings.take(np.sort(pool)))
    return Flat(shown, (embeddings.take(shown) - mean) @ axes, explained)


def principal(
    points: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Give the first two principal axes of points as columns, their mean, and the share of variance they hold.

    An axis points to where its greatest component is positive, so that a map is not mirrored by chance.
    """
    mean = points.mean(axis=0, dtype=np.float64) if len(points) else np.zeros(points.shape[1])
    centred = points - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    total = float(variances.sum())
    return axes, mean, float(variances[::-1][:2].sum()) / total if total > 0 else 0.0

"""Embeddings made by hand: near copies in families, some exact."""

import numpy as np


def families(n, d, seed=0, spread=0.15, dtype=np.float16):
    """Make n rows of length 1: members of n / 3 families, a third of them exact copies of the family's centre."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((n, d))[draw.integers(0, max(1, n // 3), n)]
    rows = rows + spread * draw.standard_normal((n, d)) * (draw.random((n, 1)) > 1 / 3)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def cosine_matrix(embeddings):
    """Give all cosines in float64."""
    wide = embeddings.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide @ wide.T

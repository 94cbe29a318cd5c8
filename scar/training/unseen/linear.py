"""The head `linear`: L2 logistic regression on frozen embeddings (n, H). Seen rows are 1; labels and folds are (n,).

Embeddings are brought to length 1 first, as MiniLM's were in its training: on rows of public sources that told seen
from candidates better (AUC .723 against .711).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scar.training.unseen.folds import Seen

STRENGTH = 0.001
"""Inverse strength of the L2 penalty. Chosen by inner folds it gave no better AUC, and noticed fewer small changes."""
STEPS = 1000

Floats = NDArray[np.float64]
Embeddings = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearHead:
    """logit = weight . (x / |x|) + bias, for an embedding x; higher means more like the seen rows."""

    weight: NDArray[np.float32]
    """(H,)"""
    bias: np.float32

    def logits(self, embeddings: Embeddings) -> Floats:
        """Give the logits (n,) of embeddings (n, H)."""
        return unit(embeddings) @ self.weight.astype(np.float64) + float(self.bias)


def unit(embeddings: Embeddings) -> Floats:
    """Bring each embedding (n, H) to length 1; one of zeros stays."""
    x = embeddings.astype(np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms == 0, 1.0, norms)


def fit_linear(embeddings: Embeddings, seen: Seen) -> LinearHead:
    """Fit the head on all rows given."""
    weight, bias = _fit(unit(embeddings), seen)
    return LinearHead(weight.astype(np.float32), np.float32(bias))


def out_of_fold(embeddings: Embeddings, seen: Seen, fold: NDArray[np.int16]) -> Floats:
    """Give each row (n,) the logit of a head that was fitted on the other folds."""
    logits = np.empty(len(seen))
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        logits[held_out] = fit_linear(embeddings[~held_out], seen[~held_out]).logits(embeddings[held_out])
    return logits


def _fit(x: Floats, seen: Seen) -> tuple[Floats, float]:
    """Fit on standardised columns, and give the weight (H,) and bias for columns as they are."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread < 1e-9, 1.0, spread)  # a constant column tells nothing, and must not give NaN
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=STEPS)
    model.fit((x - mean) / spread, seen)
    weight = model.coef_[0] / spread
    return weight, float(model.intercept_[0] - weight @ mean)

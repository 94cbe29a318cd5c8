"""The head `linear`: L2 logistic regression on frozen embeddings (n, H). Seen rows are 1; labels and folds are (n,).

Embeddings are brought to length 1, as MiniLM's were in its training: what is left of a text's length would
otherwise be fitted first.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scar.training.unseen.folds import Groups, Seen, fold_of
from scar.training.unseen.verdict import fold_aucs

STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.1)
"""Inverse strengths of the L2 penalty that are tried, the strongest penalty first."""
INNER_FOLDS = 3
STEPS = 1000

Prefer = Literal["novel", "similar"]
Floats = NDArray[np.float64]
Embeddings = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearHead:
    """logit = weight . (x / |x|) + bias, for an embedding x; higher means more like the seen rows."""

    weight: NDArray[np.float32]
    """(H,)"""
    bias: np.float32
    strength: float
    """The inverse strength of the penalty that was chosen."""

    def logits(self, embeddings: Embeddings) -> Floats:
        """Give the logits (n,) of embeddings (n, H)."""
        return unit(embeddings) @ self.weight.astype(np.float64) + float(self.bias)


def unit(embeddings: Embeddings) -> Floats:
    """Bring each embedding (n, H) to length 1; one of zeros stays."""
    x = embeddings.astype(np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms == 0, 1.0, norms)


def fit_linear(embeddings: Embeddings, seen: Seen, groups: Groups, *, seed: int = 0) -> LinearHead:
    """Fit the head on all rows given; the penalty is chosen inside them, by grouped folds."""
    x = unit(embeddings)
    strength = _choose(x, seen, groups, seed)
    weight, bias = _fit(x, seen, strength)
    return LinearHead(weight.astype(np.float32), np.float32(bias), strength)


def out_of_fold(
    embeddings: Embeddings, seen: Seen, groups: Groups, fold: NDArray[np.int16], *, seed: int = 0
) -> Floats:
    """Give each row (n,) the logit of a head that was fitted, penalty and all, on the other folds."""
    logits = np.empty(len(seen))
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        head = fit_linear(embeddings[~held_out], seen[~held_out], groups[~held_out], seed=seed)
        logits[held_out] = head.logits(embeddings[held_out])
    return logits


def _choose(x: Floats, seen: Seen, groups: Groups, seed: int) -> float:
    """Give the strength with the best mean AUC over inner folds; the stronger penalty wins a tie.

    Where a class has too few groups for inner folds the penalty is the strongest.
    """
    if min(len(np.unique(groups[seen])), len(np.unique(groups[~seen]))) < INNER_FOLDS:
        return STRENGTHS[0]
    fold = fold_of(groups, seen, folds=INNER_FOLDS, seed=seed)
    aucs = []
    for strength in STRENGTHS:
        logits = np.empty(len(seen))
        for number in range(INNER_FOLDS):
            held_out = fold == number
            weight, bias = _fit(x[~held_out], seen[~held_out], strength)
            logits[held_out] = x[held_out] @ weight + bias
        aucs.append(np.mean(fold_aucs(logits, seen, fold)))
    return STRENGTHS[int(np.argmax(aucs))]


def _fit(x: Floats, seen: Seen, strength: float) -> tuple[Floats, float]:
    """Fit on standardised columns, and give the weight (H,) and bias for columns as they are."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread < 1e-9, 1.0, spread)  # a constant column tells nothing, and must not give NaN
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=STEPS)
    model.fit((x - mean) / spread, seen)
    weight = model.coef_[0] / spread
    return weight, float(model.intercept_[0] - weight @ mean)


def prior_corrected(logits: Floats, share_seen: float) -> Floats:
    """Move logits of a classifier trained with balanced classes to the share of seen rows among all rows given.

    Balanced weights make it see one half of each class; Bayes' rule adds the log odds of the true share.
    """
    if not 0 < share_seen < 1:
        raise ValueError(f"share_seen: {share_seen} is not between 0 and 1")
    return logits + float(np.log(share_seen / (1 - share_seen)))


def score_of(logits: Floats, prefer: Prefer) -> Floats:
    """Give the score, higher is better: logit(1 - p_seen) for `novel`, logit(p_seen) for `similar`."""
    return -logits if prefer == "novel" else logits


def p_seen_of(scores: Floats, prefer: Prefer) -> Floats:
    """Give p_seen of scores that `score_of` made of prior-corrected logits."""
    return np.exp(-np.logaddexp(0.0, -score_of(scores, prefer)))

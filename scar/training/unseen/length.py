"""The length-only classifier: what the number of characters alone tells. The baseline that a verdict stands beside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scar.training.unseen.folds import Seen


def length_scores(texts: Sequence[str], seen: Seen, fold: NDArray[np.int16]) -> NDArray[np.float64]:
    """Give out-of-fold logits (n,) of a logistic regression on z and z^2, z the standardised ln(1 + characters).

    The square lets it see that one side holds both the shortest and the longest texts.
    """
    logs = np.log1p(np.asarray([len(text) for text in texts], dtype=np.float64))
    z = (logs - logs.mean()) / (logs.std() or 1.0)
    columns = np.column_stack([z, z**2])
    scores = np.empty(len(seen))
    for number in range(int(fold.max()) + 1):
        held_out = fold == number
        model = LogisticRegression(class_weight="balanced").fit(columns[~held_out], seen[~held_out])
        scores[held_out] = model.decision_function(columns[held_out])
    return scores

"""A grade out of a language model's logits of the digits: DEITA's scorers. Numpy only."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def expected_grade(logits: NDArray[np.floating]) -> Floats:
    """Give the mean grade under the softmax of the logits of the digits 1 to G, shape (n, G) -> (n,).

    DEITA (arXiv 2312.15685) takes six digits at the first generated place for complexity and for quality; the product
    of both is the score that its filter, the rule Diverse, walks by. A row with a logit that is not finite has no
    grade: NaN, not the middle of the scale.
    """
    exact = np.asarray(logits, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        weights = np.exp(exact - exact.max(axis=1, keepdims=True))
    return np.asarray(weights @ np.arange(1, exact.shape[1] + 1) / weights.sum(axis=1))

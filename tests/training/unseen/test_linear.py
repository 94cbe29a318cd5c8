"""The linear head: the standardisation folded in, rows out of fold, and what must not matter."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from scar.training.unseen.linear import (
    STRENGTH,
    LinearHead,
    fit_linear,
    out_of_fold,
)


def made(n=300, width=16, seed=0):
    random = np.random.default_rng(seed)
    seen = random.random(n) < 0.3
    x = random.normal(size=(n, width)) * random.uniform(0.1, 50, width) + 5
    x[:, 0] += 40 * seen
    return x.astype(np.float32), seen


def reference():
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
    return make_pipeline(Normalizer(), StandardScaler(), model)


def test_the_head_is_scikit_learns_pipeline_folded_into_one_weight():
    x, seen = made()
    expected = reference().fit(x.astype(np.float64), seen).decision_function(x.astype(np.float64))
    head = fit_linear(x, seen)
    assert head.weight.dtype == np.float32 and head.weight.shape == (16,)
    assert head.logits(x) == pytest.approx(expected, abs=1e-4)


def test_each_row_is_scored_by_a_head_of_the_other_folds():
    x, seen = made()
    fold = (np.arange(len(seen)) % 3).astype(np.int16)
    logits = out_of_fold(x, seen, fold)
    for number in range(3):
        mine = fold == number
        assert logits[mine].tolist() == fit_linear(x[~mine], seen[~mine]).logits(x[mine]).tolist()


def test_a_rows_own_label_does_not_touch_its_score():
    x, seen = made()
    fold = (np.arange(len(seen)) % 3).astype(np.int16)
    turned = np.where(np.arange(len(seen)) == 6, ~seen, seen)
    assert out_of_fold(x, seen, fold)[6] == out_of_fold(x, turned, fold)[6]


def test_shuffled_rows_get_their_own_scores():
    x, seen = made()
    fold = (np.arange(len(seen)) % 3).astype(np.int16)
    order = np.random.default_rng(1).permutation(len(seen))
    shuffled = out_of_fold(x[order], seen[order], fold[order])
    # The optimiser stops at its own tolerance: the order of a sum shows in the fourth digit.
    assert shuffled == pytest.approx(out_of_fold(x, seen, fold)[order], abs=1e-3)


def test_constant_columns_and_embeddings_of_zeros_give_finite_scores():
    x, seen = made()
    x[:, 3] = 0
    x[5] = 0
    assert np.isfinite(fit_linear(x, seen).logits(x)).all()


def test_the_size_of_an_embedding_does_not_matter():
    head = LinearHead(np.asarray([1, -2], dtype=np.float32), np.float32(0.5))
    assert head.logits(np.asarray([[3.0, 4.0], [300.0, 400.0]])).tolist() == pytest.approx([-0.5, -0.5])

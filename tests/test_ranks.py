"""Ranks and their correlation, against scipy."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from scar.ranks import mean_ranks, spearman, spearman_matrix

FEW = st.integers(-3, 3)


@given(st.lists(FEW, max_size=30))
def test_mean_ranks_are_scipys(values):
    assert mean_ranks(np.asarray(values, dtype=np.float32)).tolist() == rankdata(values).tolist()


@given(st.lists(st.tuples(FEW, FEW), min_size=2, max_size=30))
def test_spearman_is_scipys(pairs):
    a, b = np.asarray(pairs, dtype=np.float64).T
    expected = spearmanr(a, b).statistic if len(set(a)) > 1 and len(set(b)) > 1 else np.nan
    assert spearman(a, b) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(FEW, FEW, FEW), min_size=3, max_size=30))
def test_the_matrix_is_scipys(rows):
    columns = np.asarray(rows, dtype=np.float32).T
    if all(len(set(column)) > 1 for column in columns):
        np.testing.assert_allclose(
            spearman_matrix(list(columns)), spearmanr(columns, axis=1).statistic, atol=1e-12
        )


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0]])
def test_nothing_to_order_has_no_correlation_and_no_warning(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(spearman(np.asarray(values), np.asarray(values)))

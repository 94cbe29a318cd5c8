"""Grades out of logits: DEITA's reference values."""

import numpy as np
import pytest

from scar.selection.grades import expected_grade


def test_the_reference_values_of_deita():
    assert expected_grade(np.array([[0, 0, 1, 2, 1, 0.0], [0] * 6]))[0] == pytest.approx(3.8104, abs=5e-5)
    assert expected_grade(np.zeros((2, 6))).tolist() == [3.5, 3.5]


def test_large_logits_do_not_overflow_and_a_hole_is_a_hole():
    found = expected_grade(np.array([[1e4, 0, 0, 0, 0, 0], [np.nan, 0, 0, 0, 0, 0]]))
    assert found[0] == pytest.approx(1) and np.isnan(found[1])

"""Rows on a grid of whole numbers, whose products float32 holds exactly: the same in whatever order they are added."""

import numpy as np

from scar.selection.diversity.vectors import Rows

_STEPS = 4000
"""Steps a length of 1: with what rounding adds, two rows of up to 9,000 numbers have a product below 2 ** 24."""


def on_grid(rows: Rows) -> Rows:
    """Round rows of length 1 to the grid: to 1 in 4,000, good enough to draw and to rank by."""
    return np.asarray(np.rint(rows * np.float32(_STEPS)), dtype=np.float32)

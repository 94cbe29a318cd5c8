"""On the grid sums are exact: any order of addition, any block, gives the same."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.runs import Embeddings
from scar.selection.diversity import exact as module
from scar.selection.diversity.exact import dots, on_grid, points_of, similarity_to, total


def drawn(n=50, d=384):
    return np.random.default_rng(0).normal(size=(n, d))


def test_points_are_near_and_on_the_grid():
    raw = drawn()
    points = on_grid(raw)
    assert points.dtype == np.float32
    assert (np.rint(points.astype(np.float64) * 2**11) == points * 2.0**11).all()
    length = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(points @ points.T - length @ length.T).max() < 2e-3


def test_the_order_of_addition_does_not_matter(monkeypatch):
    points = on_grid(drawn())
    exact = [[int(value * 2**11) for value in row] for row in points.astype(np.float64)]
    whole = [sum(column) for column in zip(*exact, strict=True)]
    assert (total(points) * 2**11).tolist() == whole
    by_hand = [sum(a * b for a, b in zip(row, whole, strict=True)) / 2**22 for row in exact]
    assert dots(points, total(points)).tolist() == by_hand == similarity_to(points, points).tolist()
    pairs = [[sum(a * b for a, b in zip(x, y, strict=True)) / 2**22 for y in exact[:5]] for x in exact]
    assert (points @ points[:5].T).tolist() == pairs
    monkeypatch.setattr(module, "BLOCK", 7)
    assert dots(points, total(points)).tolist() == by_hand == similarity_to(points, points).tolist()


@pytest.mark.parametrize("bad", [0, np.nan, np.inf])
def test_an_embedding_without_direction_is_named(bad):
    raw = drawn(9, 4)
    raw[7] = bad
    assert np.isnan(on_grid(raw)).any(axis=1).tolist() == [n == 7 for n in range(9)]
    with pytest.raises(InputError, match="record 7 has a score and no embedding"):
        points_of(Embeddings.of_array(raw), np.array([8, 7, 2]))


def test_only_the_records_that_are_asked_for_are_read():
    raw = drawn(20, 4)
    raw[3] = np.nan
    points = points_of(Embeddings.of_array(raw.astype(np.float16)), np.array([5, 2]))
    assert (points == on_grid(raw.astype(np.float16)[[5, 2]])).all()

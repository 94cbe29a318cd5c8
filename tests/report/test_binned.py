"""What charts aggregate, against counting one by one."""

import numpy as np
import pytest

from scar.report.binned import Histogram, hexagons, levels, limits, trend

RNG = np.random.default_rng(5)


def test_a_histogram_counts_as_numpy_does():
    values = RNG.normal(size=500)
    ends = (float(values.min()), float(values.max()))
    found = Histogram.of(values, ends, 20)
    assert found.counts.tolist() == np.histogram(values, 20, ends)[0].tolist() and found.beyond == 0


def test_what_lies_beyond_the_ends_counts_in_the_last_bins():
    found = Histogram.of(np.array([-9.0, 0.1, 0.6, 7.0, 8.0]), (0, 1), 2)
    assert found.counts.tolist() == [2, 3] and found.beyond == 3


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([], (0, 1)),
        ([2.0], (1.8, 2.2)),
        ([0.0, 0.0], (-0.5, 0.5)),
        ([1.0, 3.0], (1, 3)),
        ([-4.0], (-4.4, -3.6)),
    ],
)
def test_an_axis_always_has_a_width(values, ends):
    assert limits(np.array(values)) == pytest.approx(ends)


def test_a_far_tail_does_not_squeeze_the_axis():
    values = np.concatenate([RNG.normal(size=10_000), [1e6]])
    low, high = limits(values)
    assert low < -3 and 3 < high < 10


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.7])
def test_a_point_counts_in_the_hexagon_whose_centre_is_nearest(aspect):
    across, points = 9, RNG.random((400, 2))
    found = hexagons(points[:, 0], points[:, 1], across, aspect)
    wide, tall = 1 / across, np.sqrt(3) / across / aspect
    grid = [
        ((i + shift) * wide, (j + shift) * tall)
        for shift in (0, 0.5)
        for i in range(-1, across + 2)
        for j in range(-1, int(1 / tall) + 2)
    ]
    drawn = np.array(grid) * [1, aspect]
    nearest = np.argmin(((points * [1, aspect])[:, None] - drawn).__pow__(2).sum(axis=2), axis=1)
    expected = {tuple(np.round(grid[n], 9)): int((nearest == n).sum()) for n in set(nearest.tolist())}
    got = {tuple(np.round(c, 9)): int(n) for c, n in zip(found.centres, found.counts, strict=True)}
    assert got == expected


def test_hexagons_are_few_however_many_the_points():
    found = hexagons(RNG.random(200_000), RNG.random(200_000), 36, 0.6)
    assert found.counts.sum() == 200_000 and len(found.counts) < 3000


def test_levels_go_from_the_least_to_the_most():
    of = levels(np.array([1, 2, 10, 100, 1000]), 6)
    assert of.tolist() == sorted(of.tolist()) and of[0] == 0 and of[-1] == 5
    assert levels(np.zeros(0, dtype=np.int64), 6).tolist() == []


def test_the_trend_is_the_median_of_each_part():
    x = np.arange(8.0)
    found = trend(x, x * 10, bins=2)
    assert found.tolist() == [[1.5, 15.0], [5.5, 55.0]]
    assert len(trend(x, x, fewest=8)) == 1 and trend(x[:0], x[:0]).shape == (0, 2)

"""The curve against published figures, and the bands against a search of all."""

import pytest

from scar.errors import InputError
from scar.selection.duplicates.curve import Bands, bands_for

SIMILARITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
# bands, values, the similarity at which the curve is steepest, and the recall at each of SIMILARITIES
TABLE = [
    (16, 8, 0.707, (0.001, 0.061, 0.237, 0.613, 0.947, 1.0)),
    (32, 4, 0.420, (0.229, 0.873, 0.988, 1.0, 1.0, 1.0)),
    (25, 5, 0.525, (0.059, 0.548, 0.868, 0.990, 1.0, 1.0)),
    (20, 6, 0.607, (0.015, 0.270, 0.615, 0.918, 0.998, 1.0)),
]


@pytest.mark.parametrize(("bands", "values", "steep", "recall"), TABLE)
def test_the_curve_is_that_of_the_table(bands, values, steep, recall):
    assert Bands(bands, values).finds(list(SIMILARITIES)) == pytest.approx(recall, abs=6e-4)
    assert (1 / bands) ** (1 / values) == pytest.approx(steep, abs=6e-4)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7, 0.85, 0.99, 1.0])
@pytest.mark.parametrize("recall", [0.5, 0.95, 0.999])
def test_the_bands_hold_the_recall_and_none_that_do_let_fewer_others_in(threshold, recall):
    chosen = bands_for(threshold, recall, 60)
    every = [Bands(b, r) for r in range(1, 61) for b in range(1, 60 // r + 1)]
    enough = [each for each in every if each.finds(threshold) >= recall]
    assert chosen in enough
    assert chosen.false(threshold) <= min(each.false(threshold) for each in enough) + 1e-12


def test_the_defaults():
    assert bands_for(0.7, 0.95, 128) == Bands(17, 5)
    assert float(Bands(17, 5).finds(0.7)) == pytest.approx(0.9562, abs=1e-4)


def test_too_few_permutations_are_refused_with_the_number_that_would_do():
    with pytest.raises(InputError, match=r"2 permutations cannot .* 0\.3 .* 0\.95: give at least 9"):
        bands_for(0.3, 0.95, 2)
    assert bands_for(0.3, 0.95, 9) == Bands(9, 1)

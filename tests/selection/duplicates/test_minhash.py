"""Estimates against true similarities, and recall against the curve: without texts, of sets that are drawn."""

import numpy as np
import pytest

from scar.selection.duplicates.curve import Bands
from scar.selection.duplicates.minhash import Permutations, band_keys
from scar.selection.duplicates.ragged import Ragged

SIMILARITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


def ragged(*sets):
    sizes = np.asarray([len(each) for each in sets], dtype=np.int64)
    return Ragged(np.concatenate([np.sort(each) for each in sets]).astype(np.uint32), sizes)


def pairs_of(similarity, n, seed, union=200):
    """Draw n pairs of sets whose Jaccard similarity is exact: both hold `shared` values, each half of the others."""
    draw = np.random.default_rng(seed)
    shared = round(similarity * union)
    half = shared + (union - shared) // 2
    first, second = [], []
    for _ in range(n):
        values = draw.integers(0, 2**32, union, dtype=np.uint32)
        first.append(values[:half])
        second.append(np.r_[values[:shared], values[half:]])
    return ragged(*first), ragged(*second)


@pytest.mark.parametrize("similarity", [0.1, *SIMILARITIES])
def test_the_share_of_equal_values_estimates_the_similarity(similarity):
    permutations = 256
    signed = [Permutations.drawn(permutations, seed=1).least(sets) for sets in pairs_of(similarity, 400, 2)]
    estimates = (signed[0] == signed[1]).mean(axis=0)
    deviation = np.sqrt(similarity * (1 - similarity) / permutations)
    # 3 deviations hold 99.7 % of binomial estimates; their mean is 20 times as sure.
    assert (np.abs(estimates - similarity) <= 3 * deviation).mean() >= 0.98
    assert abs(estimates.mean() - similarity) <= 4 * deviation / 20


@pytest.mark.parametrize("bands", [Bands(16, 8), Bands(32, 4), Bands(25, 5), Bands(20, 6)])
def test_bands_find_as_many_pairs_as_the_curve_says(bands):
    drawn = Permutations.drawn(bands.bands * bands.values, seed=3)
    for similarity in SIMILARITIES:
        n = 500
        keys = [band_keys(drawn.least(sets), bands) for sets in pairs_of(similarity, n, 4)]
        found = (keys[0] == keys[1]).any(axis=0).mean()
        expected = float(bands.finds(similarity))
        assert abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / n) + 0.002


def test_a_signature_does_not_depend_on_the_company():
    drawn, values = Permutations.drawn(8, seed=0), np.random.default_rng(5).integers(0, 2**32, 200_000)
    sets = ragged(values, values[:3], [], values[5:9], [])
    whole = drawn.least(sets)
    for number in range(len(sets)):
        np.testing.assert_array_equal(drawn.least(ragged(sets[number]))[:, 0], whole[:, number])
    assert (whole[:, [2, 4]] == 0xFFFFFFFF).all()


def test_the_least_value_is_the_least():
    drawn, values = Permutations.drawn(20, seed=7), np.asarray([3, 1 << 31, 77, 4_000_000_000])
    expected = [
        min((int(a) * int(x) + int(b)) % 2**32 for x in values) for a, b in zip(drawn.a, drawn.b, strict=True)
    ]
    assert drawn.least(ragged(values))[:, 0].tolist() == expected
    assert (drawn.a % 2 == 1).all()
    assert len(set(drawn.a.tolist())) == len(set(drawn.b.tolist())) == 20


def test_estimates_are_as_good_as_datasketchs():
    from datasketch import MinHash

    similarity, permutations = 0.6, 128
    a, b = pairs_of(similarity, 150, 8)
    signed = [Permutations.drawn(permutations, seed=1).least(sets) for sets in (a, b)]
    ours = (signed[0] == signed[1]).mean(axis=0)

    def theirs(sets):
        made = [MinHash(num_perm=permutations, seed=1, hashfunc=int) for _ in range(len(sets))]
        for number, sketch in enumerate(made):
            sketch.update_batch(sets[number].tolist())
        return made

    reference = np.asarray([x.jaccard(y) for x, y in zip(theirs(a), theirs(b), strict=True)])
    assert np.sqrt(((ours - similarity) ** 2).mean()) <= 1.3 * np.sqrt(((reference - similarity) ** 2).mean())

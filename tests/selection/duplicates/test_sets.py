"""Similarities of sets on disk against Python's own sets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.duplicates import sets as sets_module
from scar.selection.duplicates.ragged import Ragged
from scar.selection.duplicates.sets import SetFile, jaccard, set_file

SETS = st.lists(st.sets(st.sampled_from([0, 1, 2, 5, 2**31, 2**32 - 1])), min_size=1, max_size=8)


def ragged(sets):
    values = [sorted(each) for each in sets]
    flat = np.asarray([value for each in values for value in each], dtype=np.uint32)
    return Ragged(flat, np.asarray([len(each) for each in values], dtype=np.int64))


def true(a, b):
    return len(a & b) / len(a | b) if a | b else 1.0


@given(SETS)
def test_jaccard_is_that_of_sets(sets):
    others = sets[::-1]
    expected = [true(a, b) for a, b in zip(sets, others, strict=True)]
    assert jaccard(ragged(sets), ragged(others)).tolist() == expected


@pytest.mark.parametrize("elements", [1, 1000])
def test_pairs_of_stored_sets_reach_the_threshold_where_they_do(tmp_path, monkeypatch, elements):
    monkeypatch.setattr(sets_module, "_ELEMENTS", elements)
    draw = np.random.default_rng(0)
    sets = [set(draw.integers(0, 12, draw.integers(0, 12)).tolist()) for _ in range(40)]
    a, b = (part.ravel() for part in np.meshgrid(np.arange(40), np.arange(40)))
    with set_file(tmp_path) as file:
        file.add(ragged(sets[:7]))
        file.add(ragged(sets[7:]))
        stored = file.written()
        for threshold in (0.25, 0.5, 0.7, 1.0):
            expected = [true(sets[x], sets[y]) >= threshold for x, y in zip(a, b, strict=True)]
            assert stored.similar(a, b, threshold).tolist() == expected
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_holds_no_sets(tmp_path):
    with set_file(tmp_path) as file:
        assert len(file.written().sizes) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
@pytest.mark.parametrize("values", [3, 10**6])
def test_a_full_disk_is_an_error_and_not_lost_sets(values):
    file = SetFile(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left.*/dev/full"):
        file.add(ragged([range(values)]))
        file.written()

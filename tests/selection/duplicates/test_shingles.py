"""Sets of runs against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.duplicates.shingles import shingles

TEXTS = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=9).map(" ".join), max_size=6)


def runs(text, words):
    cut = text.split()
    return (
        {tuple(cut[place : place + words]) for place in range(max(1, len(cut) - words + 1))} if cut else set()
    )


@given(TEXTS, st.integers(1, 6))
def test_a_text_is_the_set_of_its_runs(texts, words):
    sets = shingles(texts, words)
    expected = [runs(text, words) for text in texts]
    assert sets.sizes.tolist() == [len(each) for each in expected]
    for a, first in enumerate(expected):
        assert (np.diff(sets[a].astype(np.int64)) > 0).all()
        for b, second in enumerate(expected):
            assert len(np.intersect1d(sets[a], sets[b])) == len(first & second)


def test_a_short_text_is_one_run_and_like_no_other():
    sets = shingles(["hello world", "Hello  world", "hello", "hello world again", ""], 5)
    assert sets.sizes.tolist() == [1, 1, 1, 1, 0]
    assert sets[0] == sets[1] and len({int(sets[n][0]) for n in (0, 2, 3)}) == 3


def test_a_text_gives_the_same_set_in_any_company():
    texts = ["one two three four five six", "short", "我们都喜欢编程语言", "x y z " * 50_000]
    together = shingles(texts, 3)
    for number, text in enumerate(texts):
        np.testing.assert_array_equal(shingles([text], 3)[0], together[number])


def test_hashes_are_the_same_on_every_machine():
    assert shingles(["the quick brown fox jumps over"], 5)[0].tolist() == [6187166, 3461757325]

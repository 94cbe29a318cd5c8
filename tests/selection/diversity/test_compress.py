"""ZIP: the reference values, exact lengths, and the algorithm against one that compresses all anew each time."""

import random
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.selection.diversity.compress import Compressed, Widths, Zip, ratio
from scar.selection.diversity.texts import Texts

ALL = Widths(10_000, 10_000, 10_000)


def noise(seed, size=400):
    return random.Random(seed).randbytes(size)


def choose(texts, k=None, widths=ALL, fits=lambda number: True):
    own = np.array([ratio(text) for text in texts])
    found = Zip(texts, own, widths=widths).choose(np.arange(len(texts)), fits)
    return [number for number, _ in zip(found, range(len(texts) if k is None else k), strict=False)]


def plain(texts, widths):
    """ZIP as its paper tells it, every ratio from nothing; a tie of a round goes to the lower state."""
    state = {number: ratio(text) for number, text in enumerate(texts)}
    chosen, left = [], list(range(len(texts)))
    while left:
        near = sorted(left, key=lambda n: (state[n], n))[: widths.first]
        for number in near:
            state[number] = ratio(b"".join(texts[n] for n in [*chosen, number]))
        few = sorted(near, key=lambda n: (state[n], n))[: widths.second]
        local = []
        for _ in range(min(widths.third, len(few))):
            rest = [n for n in few if n not in local]
            beside = {n: ratio(b"".join(texts[m] for m in [*local, n])) for n in rest}
            local.append(min(rest, key=lambda n: (beside[n], state[n], n)))
        chosen += local
        left = [n for n in left if n not in chosen]
    return chosen


def test_the_ratio_of_what_repeats():
    assert ratio(b"ab" * 500) > 20
    assert ratio(noise(0)) < 1


@settings(max_examples=50)
@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([b"again and again " * 9, b"x" * 40_000]), max_size=6)
)
def test_incremental_is_one_shot(texts):
    compressed = Compressed()
    for number, text in enumerate(texts):
        whole = b"".join(texts[: number + 1])
        assert compressed.ratio(text) == ratio(whole)
        compressed.add(text)
        assert compressed.ratio() == ratio(whole)


@pytest.mark.parametrize("level", [1, 6, 9])
def test_incremental_is_one_shot_at_every_level(level):
    texts = [noise(seed, 3000) + b"the same words " * 20 for seed in range(20)]
    compressed = Compressed(level)
    for text in texts:
        compressed.add(text)
    whole = b"".join(texts)
    assert compressed.ratio() == len(whole) / len(zlib.compress(whole, level))


@pytest.mark.parametrize("widths", [Widths(1, 1, 1), Widths(6, 4, 2), Widths(9, 9, 3), Widths(50, 5, 5), ALL])
def test_the_same_texts_as_the_plain_algorithm(widths):
    for seed in range(3):
        draw = random.Random(seed)
        words = [f"{draw.getrandbits(40):x} " for _ in range(30)]
        texts = ["".join(draw.choices(words, k=draw.randint(3, 40))).encode() for _ in range(17)]
        assert choose(texts, widths=widths) == plain(texts, widths)


@pytest.mark.parametrize("widths", [ALL, Widths(6, 6, 1), Widths(6, 2, 1)])
def test_a_copy_is_never_chosen_before_something_new(widths):
    texts = [noise(1), noise(1), noise(1), noise(2), noise(3), noise(4)]
    assert sorted(choose(texts, 4, widths)) == [0, 3, 4, 5]


@pytest.mark.parametrize("widths", [ALL, Widths(5, 3, 2), Widths(4, 4, 1), Widths(1, 1, 1)])
def test_nothing_is_lost_and_nothing_twice(widths):
    texts = [noise(seed, 50 + seed) for seed in range(13)] + [noise(0, 50), b""]
    assert sorted(choose(texts, widths=widths)) == list(range(15))


def test_those_that_lose_a_round_are_not_lost():
    # Each round takes one of three; the two others come again.
    texts = [noise(seed) for seed in range(3)]
    assert sorted(choose(texts, widths=Widths(3, 3, 1))) == [0, 1, 2]


def test_equal_texts_come_in_their_order_wherever_they_stand():
    draw = random.Random(0)
    texts = [noise(seed) for seed in (1, 2, 1, 2, 1)]
    for _ in range(5):
        order = draw.sample(range(5), 5)
        chosen = choose([texts[place] for place in order])
        for same in (noise(1), noise(2)):
            places = [place for place in chosen if texts[order[place]] == same]
            assert places == sorted(places)


def test_what_does_not_fit_is_left_out():
    texts = [noise(seed, 50 * seed) for seed in range(1, 8)]
    assert sorted(choose(texts, fits=lambda number: number % 2 == 0, widths=Widths(3, 2, 2))) == [0, 2, 4, 6]
    assert choose(texts, fits=lambda number: False) == []
    assert choose([]) == []


def test_texts_wait_on_the_disk():
    with Texts() as texts:
        for text in (b"first", b"", b"third"):
            texts.add(text)
        assert [texts[number] for number in (2, 0, 1)] == [b"third", b"first", b""]
        assert len(texts) == 3

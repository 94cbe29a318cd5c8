"""The whole way from texts to what stays, against all pairs by Python's sets."""

import random

import numpy as np
import pytest

from scar.selection.duplicates.ahead import ahead, blocks
from scar.selection.duplicates.curve import bands_for
from scar.selection.duplicates.near import Settings, find_near

WORDS = [f"w{number}" for number in range(400)]


def family(seed, copies, words=40, changed=2):
    """Make a text and near copies of it."""
    draw = random.Random(seed)
    text = draw.choices(WORDS, k=words)
    yield " ".join(text)
    for _ in range(copies):
        copy = list(text)
        for place in draw.sample(range(words), draw.randrange(changed + 1)):
            copy[place] = draw.choice(WORDS)
        yield " ".join(copy)


def texts(seed=0):
    made = [text for number in range(60) for text in family(number, number % 5)]
    random.Random(seed).shuffle(made)
    return made


def sets_of(several, words=3):
    cut = [text.split() for text in several]
    return [{tuple(each[n : n + words]) for n in range(max(1, len(each) - words + 1))} for each in cut]


def near(several, threshold=0.7):
    sets = sets_of(several)
    n = range(len(sets))
    return {(a, b) for a in n for b in n if len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= threshold}


def settings(chain=False, recall=0.9999):
    # So sure that no pair of these few is missed.
    return Settings(0.7, 3, bands_for(0.7, recall, 512), seed=0, chain=chain)


def test_greedy_is_that_of_all_pairs():
    several = texts()
    edges, order = near(several), np.random.default_rng(1).permutation(len(several))
    expected, kept = np.arange(len(several)), []
    for each in order:
        takes = next((better for better in kept if (better, each) in edges), None)
        expected[each] = each if takes is None else takes
        kept += [each] if takes is None else []
    found = find_near(several, order, 0, settings())
    assert found.kept_for.tolist() == expected.tolist()
    assert len(kept) < len(several) - 50  # there was something to find


def test_union_find_makes_the_components_of_all_near_pairs():
    several = texts()
    edges, order = near(several), np.random.default_rng(1).permutation(len(several))
    left, expected = set(order.tolist()), np.full(len(several), -1)
    for best in order.tolist():
        reached, wave = set(), {best} & left
        while wave:
            reached |= wave
            wave = {b for a, b in edges if a in wave} - reached
        expected[list(reached)] = best
        left -= reached
    assert find_near(several, order, 0, settings(chain=True)).kept_for.tolist() == expected.tolist()


def test_the_stated_recall_is_reached_at_the_threshold():
    """Pairs that have 81 of 115 runs in common: a similarity of .704."""
    draw, several = random.Random(3), []
    for number in range(600):
        text = [f"{number}-{place}" for place in range(100)]
        several += [" ".join(text), " ".join([*text[:83], *(f"{draw.random()}" for _ in range(17))])]
    sets = sets_of(several[:2])
    assert len(sets[0] & sets[1]) / len(sets[0] | sets[1]) == 81 / 115
    chosen = Settings(0.7, 3, bands_for(0.7, 0.95, 128))
    found = find_near(several, np.arange(1200), 0, chosen)
    share = (found.kept_for[1::2] == np.arange(0, 1200, 2)).mean()
    assert 0.95 - 3 * (0.95 * 0.05 / 600) ** 0.5 <= share < 1


def test_a_chain_loses_its_middle_alone_unless_it_is_asked_for():
    words = WORDS[:44]
    a, b, c = (" ".join(words[start : start + 36]) for start in (0, 4, 8))
    edges = near([a, b, c])
    assert (0, 1) in edges and (1, 2) in edges and (0, 2) not in edges
    order = np.arange(3)
    assert find_near([a, b, c], order, 0, settings()).kept_for.tolist() == [0, 0, 2]
    assert find_near([a, b, c], order, 0, settings(chain=True)).kept_for.tolist() == [0, 0, 0]


@pytest.mark.parametrize("chain", [False, True])
def test_copies_that_must_stay_stay_and_their_near_copy_goes(chain):
    text, copy = family(2, 1, changed=1)
    found = find_near([text, text, copy], np.arange(3), 2, settings(chain=chain))
    assert found.kept_for.tolist() == [0, 1, 0]


@pytest.mark.parametrize("size", [1, 500, 10**6])
def test_the_size_of_blocks_changes_nothing(size, monkeypatch):
    several = texts()
    order = np.arange(len(several))
    expected = find_near(several, order, 0, settings(recall=0.8)).kept_for
    monkeypatch.setattr("scar.selection.duplicates.ahead._CHARACTERS", size)
    monkeypatch.setattr("scar.selection.duplicates.near.blocks", lambda texts: blocks(texts, size))
    assert find_near(several, order, 0, settings(recall=0.8)).kept_for.tolist() == expected.tolist()


def test_a_crowded_template_is_not_quadratic():
    """20,000 rows of one template, each with its own filling: all near, each compared a few times."""
    several = [f"{' '.join(WORDS[:40])} {number}" for number in range(20_000)]
    found = find_near(several, np.arange(20_000), 0, settings(recall=0.95))
    assert (found.kept_for == 0).all()
    assert found.crowded_buckets > 0 and found.compared < 20 * 20_000


def test_a_template_that_is_not_near_is_left_and_copies_in_it_are_found():
    """Half template, half filling: the template fills bands with 5,000 rows, and the copies are found in others."""
    draw = random.Random(5)
    several = [" ".join(WORDS[:30] + [str(draw.random()) for _ in range(20)]) for _ in range(5000)]
    copies = [several[number][:-3] + "x" for number in range(0, 5000, 50)]
    found = find_near([*several, *copies], np.arange(5100), 0, Settings(0.7, 3, bands_for(0.7, 0.95, 128)))
    assert found.crowded_buckets > 0
    assert (found.kept_for[:5000] == np.arange(5000)).all()
    assert (found.kept_for[5000:] == np.arange(0, 5000, 50)).mean() >= 0.97
    assert found.compared < 17 * 64 * 5100


def test_work_ahead_keeps_the_order_and_reads_little():
    read = []

    def items():
        for number in range(100):
            read.append(number)
            yield number

    results = ahead(lambda number: number * number, items())
    assert next(results) == 0 and len(read) < 10
    assert list(results) == [number * number for number in range(1, 100)]


def test_an_error_while_texts_are_read_is_that_error():
    def broken():
        yield "a b c"
        raise ValueError("the pool")

    with pytest.raises(ValueError, match="the pool"):
        find_near(broken(), np.arange(2), 0, settings())

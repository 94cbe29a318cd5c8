"""Tags are read, counted, and covered as a plain loop over passes covers them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.diversity.tag_cover import TagSets, cover, tags_of, vocabulary

NAMES = "abcdef"


def sets_of(*rows):
    return TagSets.of([tuple(row) for row in rows], NAMES)


def plain(rows, order, budget):
    """InsTag's loop as it is written: scan, reset, scan again; stop when a whole scan adds nothing."""
    taken, rest = [], list(order)
    while rest and len(taken) < budget:
        covered, before = set(), len(taken)
        for row in list(rest):
            if not set(rows[row]) <= covered and len(taken) < budget:
                covered |= set(rows[row])
                taken.append(row)
                rest.remove(row)
        if len(taken) == before:
            break
    return taken


def always(row):
    return True


def test_the_reference_example():
    rows = ["abc", "ab", "d", "abcd"]
    order = [3, 0, 1, 2]
    assert list(cover(sets_of(*rows), order, always))[:2] == [3, 0]


@given(st.lists(st.text(NAMES, max_size=4).map(lambda t: "".join(dict.fromkeys(t))), max_size=14))
def test_the_same_as_the_plain_loop(rows):
    order = sorted(range(len(rows)), key=lambda row: (-len(rows[row]), row))
    taken = list(cover(sets_of(*rows), order, always))
    assert taken == plain(rows, order, len(rows))
    assert sorted(taken) == [row for row in range(len(rows)) if rows[row]]


@given(st.lists(st.text(NAMES, min_size=1, max_size=4), min_size=1, max_size=14))
def test_the_first_pass_covers_all_tags(rows):
    covered, first = set(), 0
    for row in cover(sets_of(*rows), range(len(rows)), always):
        if set(rows[row]) <= covered:
            break
        covered |= set(rows[row])
        first += 1
    assert covered == set("".join(rows)) and first <= len(covered)


def test_rows_without_tags_are_never_taken():
    assert list(cover(sets_of("", "", ""), [0, 1, 2], always)) == []
    assert list(cover(sets_of(), [], always)) == []


def test_what_does_not_fit_covers_nothing():
    assert list(cover(sets_of("ab", "a", "b"), [0, 1, 2], lambda row: row != 0)) == [1, 2]


def test_rows_that_are_in_already_count_in_the_first_pass():
    assert list(cover(sets_of("ab", "a", "b", "c"), [1, 2, 3], always, first=[0])) == [3, 1, 2]


def test_many_rows_of_one_tag_take_no_square_of_time():
    rows = 100_000
    assert sum(1 for _ in cover(sets_of(*["a"] * rows), range(rows), always)) == rows


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        (None, ()),
        ("", ()),
        (" , ,", ()),
        ("Math, coding ,math", ("math", "coding")),
        ('["Math", "data  analysis"]', ("math", "data analysis")),
        ('[{"tag": "Math", "explanation": "x"}, 3, null]', ("math", "3")),
        ("[a], b", ("[a]", "b")),
        ("[1", ("[1",)),
    ],
)
def test_reading_tags(text, tags):
    assert tags_of(text) == tags


def test_rare_tags_are_not_in_the_vocabulary():
    rows = [("a", "b"), ("a",), ("c",)]
    assert vocabulary(rows) == ("a", "b", "c")
    assert vocabulary(rows, 2) == ("a",)

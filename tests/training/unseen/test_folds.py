"""Folds partition the rows, no group straddles, and the order of the rows decides nothing."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.records import Record
from scar.training.unseen.folds import fold_of, group_notes, groups_of
from tests.training.unseen.made import records

# Few texts, so that rows share instructions and responses; long enough to count as copies.
TEXTS = [f"{word} text that is long enough to be somebody's copy" for word in ("red", "old", "big", "odd")]
ROWS = st.lists(
    st.tuples(st.sampled_from(TEXTS + ["a", ""]), st.sampled_from(TEXTS + ["yes", ""])), max_size=12
)


def plain(rows):
    return [Record.plain(*row) for row in rows]


@pytest.mark.slow
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from(["instruction", "response", "both"]))
def test_shuffled_rows_keep_their_groups(rows, random, on):
    order = list(range(len(rows)))
    random.shuffle(order)
    groups = groups_of(plain(rows), on=on)
    assert groups_of(plain([rows[n] for n in order]), on=on).tolist() == groups[order].tolist()


@given(ROWS)
def test_groups_are_numbered_from_zero_without_gaps(rows):
    groups = groups_of(plain(rows))
    assert sorted(set(groups.tolist())) == list(range(len(set(groups.tolist()))))


def test_planted_duplicates_share_a_group():
    rows = records(50)
    asked, answered = rows[3].turns[0].text, rows[3].response
    planted = [
        Record.plain(asked.upper() + " ", "another answer"),
        Record.plain("another question", answered),
        Record.plain(asked + "!", answered + " indeed"),
    ]
    groups = groups_of(rows + planted)
    assert set(groups[50:]) == {groups[3]}
    assert len(set(groups[:50])) == 50


def test_a_short_answer_groups_rows_only_where_nothing_else_is_looked_at():
    rows = plain([("what is red?", "Yes."), ("is the moon made of green cheese?", "yes.")])
    assert len(set(groups_of(rows, on="both"))) == 2
    assert len(set(groups_of(rows, on="response"))) == 1


def test_what_is_not_looked_at_groups_nothing():
    rows = plain([("what is red?", TEXTS[0]), ("is the moon made of green cheese?", TEXTS[0])])
    assert len(set(groups_of(rows, on="instruction"))) == 2
    assert len(set(groups_of(rows, on="response"))) == 1


def test_what_the_encoder_cannot_tell_apart_is_together():
    rows = plain([("what is red?", "a"), ("is the moon made of green cheese?", "b"), ("why?", "c")])
    assert groups_of(rows, encoded=[b"12", b"12", b"3"]).tolist() in ([0, 0, 1], [1, 1, 0])
    assert len(set(groups_of(rows, encoded=[b"1", b"2", b"3"]))) == 3


@given(
    st.lists(st.integers(0, 30), min_size=40, max_size=120),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_folds_partition_the_rows_and_no_group_straddles(groups, folds, seed):
    groups = np.asarray([*groups, *range(100, 110)])
    seen = (np.arange(len(groups)) % 2).astype(bool)
    try:
        fold = fold_of(groups, seen, folds=folds, seed=seed)
    except InputError:
        return
    assert set(fold.tolist()) == set(range(folds))
    assert all(len(set(fold[groups == group])) == 1 for group in groups)
    assert all({True, False} == set(seen[fold == number].tolist()) for number in range(folds))


def test_folds_have_equal_sizes_and_the_overall_share_of_seen_rows():
    random = np.random.default_rng(0)
    groups, seen = random.integers(0, 700, 1500), random.random(1500) < 0.3
    fold = fold_of(groups, seen, folds=5)
    assert np.ptp(np.bincount(fold)) <= 3
    assert np.ptp(np.bincount(fold[seen])) <= 3


def test_the_seed_decides():
    groups, seen = np.arange(100), np.arange(100) < 40
    one, again, other = (fold_of(groups, seen, seed=seed) for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_a_huge_group_is_told_and_the_rest_is_even():
    groups, seen = np.r_[np.zeros(60, int), np.arange(1, 41)], np.arange(100) % 2 == 0
    assert "60 of 100 rows" in group_notes(groups, 5)[0]
    fold = fold_of(groups, seen, folds=5)
    assert sorted(np.bincount(fold).tolist()) == [10, 10, 10, 10, 60]
    assert group_notes(np.arange(100), 5) == []


@pytest.mark.parametrize(
    ("groups", "seen", "folds", "message"),
    [
        (range(10), [True] * 10, 5, "there are no candidates"),
        (range(10), [False] * 10, 5, "there are no seen rows"),
        ([], [], 5, "there are no seen rows"),
        (range(2), [True, False], 2, "1 groups"),
        (range(10), [True] * 3 + [False] * 7, 5, "3 groups .* or 3 folds"),
        ([0] * 8 + [1, 2], [True, False] * 5, 3, "2 groups"),
        (range(10), [True, False] * 5, 1, "at least 2"),
    ],
)
def test_rows_that_cannot_be_dealt_are_an_error_with_the_remedy(groups, seen, folds, message):
    with pytest.raises(InputError, match=message):
        fold_of(np.asarray(list(groups), dtype=np.int64), np.asarray(seen, dtype=bool), folds=folds)


@pytest.mark.slow
def test_ten_thousand_rows_take_well_under_a_minute():
    rows = records(10_000)
    start = time.process_time()
    assert len(set(groups_of(rows))) == 10_000
    assert time.process_time() - start < 40

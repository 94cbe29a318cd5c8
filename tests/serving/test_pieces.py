"""Pieces: the records that kill are found, each set aside after two tries alone, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.records import Address, Reason, SetAside
from scar.serving.answers import Scores
from scar.serving.sidecar import Item
from scar.serving.workers.pieces import Piece, joined, too_many, without


def search(records, killers):
    """Run pieces as a worker would that dies of some records; gives (what was scored, what was given up, tries)."""
    todo, scored, lost, tries = [Piece(0, records)], [], [], []
    while todo:
        piece = todo.pop()
        numbers = range(piece.start, piece.stop)
        tries.append(tuple(numbers))
        if not killers & set(numbers):
            scored += numbers
            continue
        rest = piece.after_crash()
        todo += reversed(rest)
        if not rest:
            lost.append(piece.start)
    return scored, lost, tries


@given(st.integers(1, 60), st.data())
def test_the_records_that_kill_are_found_and_no_other(records, data):
    killers = data.draw(st.sets(st.integers(0, records - 1), max_size=5))
    scored, lost, tries = search(records, killers)
    assert lost == sorted(killers) and scored == [n for n in range(records) if n not in killers]
    assert all(tries.count((killer,)) == 2 for killer in killers)
    assert tries.count(tuple(range(records))) == (2 if killers else 1)


def test_one_record_of_a_chunk_is_found_in_few_tries():
    assert len(search(2048, {1234})[2]) <= 2 + 2 * 11 + 1


@pytest.mark.parametrize(
    ("crashed", "records", "wanted"), [(3, 10, False), (4, 10, True), (20, 2048, False), (21, 2048, True)]
)
def test_more_than_three_or_one_in_a_hundred_are_too_many(crashed, records, wanted):
    assert too_many(crashed, records) is wanted


def some(values):
    numbers = np.asarray(values, dtype=np.float32)
    return Scores(numbers, numbers.astype(np.int32), numbers > 2, {"style_p": numbers / 10})


def test_scores_of_pieces_stand_behind_one_another():
    whole = joined([{"style": some([1, 2])}, {"style": some([])}, {"style": some([3])}])["style"]
    want = some([1, 2, 3])
    assert whole.scores.tolist() == [1, 2, 3] and whole.tokens.dtype == np.int32
    assert whole.truncated.tolist() == want.truncated.tolist()
    assert whole.columns["style_p"].tolist() == want.columns["style_p"].tolist()


def test_the_numbers_of_crashed_records_are_those_of_the_readable_ones():
    bad = SetAside(Address(1), Reason.EMPTY_RESPONSE, "")
    items = [Item(Address(n), f"i{n}", None, bad if n == 1 else None, ()) for n in range(4)]
    found = without(items, {1: "signal SIGSEGV"})
    assert [item.set_aside.reason if item.set_aside else None for item in found] == [
        None,
        Reason.EMPTY_RESPONSE,
        Reason.CRASHED,
        None,
    ]
    assert found[2].set_aside.address == Address(2) and found[2].set_aside.id == "i2"
    assert "signal SIGSEGV, twice, alone" in found[2].set_aside.detail

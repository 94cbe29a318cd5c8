"""Stages: order, bounds, errors, and an end that does not wait."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.stages import map_ahead, read_ahead


@given(st.lists(st.integers(), max_size=20), st.integers(1, 5))
def test_reading_ahead_keeps_the_order(values, depth):
    assert list(read_ahead(iter(values), depth)) == values


def test_an_error_is_raised_after_the_items_before_it():
    def source():
        yield from (1, 2, 3)
        raise InputError("line 4 is damaged")

    seen = []
    with pytest.raises(InputError, match="line 4 is damaged"):
        for value in read_ahead(source(), 2):
            seen.append(value)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_items_are_made_ahead(depth):
    made = []

    def source():
        for number in range(20):
            made.append(number)
            yield number

    most = 0
    for value in read_ahead(source(), depth):
        time.sleep(0.002)
        most = max(most, made[-1] - value)
    assert most == depth


def test_items_are_made_in_one_other_thread():
    threads = list(read_ahead((threading.get_ident() for _ in range(5)), 2))
    assert len(set(threads)) == 1 and threads[0] != threading.get_ident()


def test_a_consumer_that_stops_is_not_kept_waiting():
    before = set(threading.enumerate())
    ahead = read_ahead(iter(range(1000)), 2)
    assert next(ahead) == 0
    ahead.close()
    assert set(threading.enumerate()) <= before


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 5))
def test_results_come_in_the_order_of_the_items_whichever_is_done_first(naps, depth):
    def slow(item):
        time.sleep(naps[item] / 5000)
        return item

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(pool, slow, range(len(naps)), depth)) == list(range(len(naps)))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_slow_consumer_holds_up_the_items(depth):
    taken = []

    def items():
        for number in range(30):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        ahead = [len(taken) - result for result in map_ahead(pool, lambda n: n, items(), depth)]
    assert max(ahead) == depth


def test_an_items_error_comes_after_the_results_before_it_and_what_waits_is_not_begun():
    begun, seen, gate = [], [], threading.Event()

    def fails(item):
        begun.append(item)
        if item == 2:
            raise InputError("item 2")
        gate.wait(0.5 if item > 2 else 0)
        return item

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(InputError, match="item 2"):
            for value in map_ahead(pool, fails, range(100), 6):
                seen.append(value)
        gate.set()
    assert seen == [0, 1] and len(begun) <= 5


def test_who_stops_early_waits_for_the_item_that_is_being_made_and_for_no_other():
    made = []

    def source():
        for number in range(100):
            time.sleep(0.01)
            made.append(number)
            yield number

    ahead = read_ahead(source(), 20)
    next(ahead)
    ahead.close()
    assert len(made) <= 3

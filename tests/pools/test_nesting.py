"""Where a value ends, against a machine that looks at one byte after another."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.pools.nesting import SHALLOW, Nesting, whole

PARTS = st.sampled_from(
    [b"{", b"[", b"}", b"]", b'"', b"\\", b'\\"', b"\\\\", b"a", b",", b'""', b"\xff", b"\n"]
)


def by_hand(data):
    """Give where the value ends, and how deep it went; None where it does not end."""
    depth = deepest = at = 0
    text = False
    while at < len(data):
        if data[at : at + 1] == b"\\" and data[at + 1 : at + 2] in (b'"', b"\\"):
            at += 2
            continue
        if data[at : at + 1] == b'"':
            text = not text
        elif not text:
            depth += (data[at] in b"{[") - (data[at] in b"}]")
            deepest = max(deepest, depth)
        at += 1
        if depth <= 0 and not text:
            return at, deepest
    return None, deepest


@given(st.sampled_from([b"{", b"[", b'"']), st.lists(PARTS, max_size=40), st.integers(0, 2**32))
def test_the_end_is_the_same_in_whatever_blocks_the_value_comes(first, parts, seed):
    data = first + b"".join(parts)
    wanted, rng = by_hand(data)[0], random.Random(seed)
    nesting, at, end = Nesting(), 0, None
    while at < len(data) and end is None:
        block = data[at : at + rng.choice([1, 2, 3, 50])]
        end = nesting.end(block)
        at += len(block) if end is None else end
    assert (at if end is not None else None) == wanted


@given(st.lists(PARTS, max_size=40))
def test_what_is_found_whole_is_what_is_counted(parts):
    data = b"[" + b"".join(parts)
    wanted, deepest = by_hand(data)
    found = whole.match(data)
    assert (found.end() if found else None) == (wanted if deepest <= SHALLOW else None)


@pytest.mark.parametrize("deep", [SHALLOW, SHALLOW + 1])
def test_only_a_shallow_value_is_found_whole(deep):
    assert bool(whole.match(b"[" * deep + b"]" * deep)) == (deep == SHALLOW)

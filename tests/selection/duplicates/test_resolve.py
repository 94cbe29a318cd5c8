"""Greedy and chained against brute force on graphs that are drawn; buckets against all pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.duplicates.buckets import LEADERS, Buckets
from scar.selection.duplicates.resolve import STAYS, chained, greedy

GRAPHS = st.integers(1, 14).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.integers(0, n),
        st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])),
        st.integers(1, 5),
    )
)


def asked(edges, n):
    """Give all pairs in blocks, and what tells the edges among them."""

    def similar(a, b):
        return np.asarray([pair in edges for pair in zip(a.tolist(), b.tolist(), strict=True)], dtype=bool)

    def pairs(size):
        every = np.asarray([(a, b) for a in range(n) for b in range(a + 1, n)], dtype=np.int64).reshape(-1, 2)
        yield from ((some[:, 0], some[:, 1]) for some in np.split(every, range(size, len(every), size)))

    return pairs, similar


@given(GRAPHS)
def test_greedy_keeps_what_is_near_nothing_better_that_is_kept(graph):
    n, must, edges, size = graph
    pairs, similar = asked(edges, n)
    kept, expected = [], []
    for each in range(n):
        near = [better for better in kept if (better, each) in edges]
        drop = bool(near) and each >= must
        expected.append(near[0] if drop else STAYS)
        kept += [] if drop else [each]
    assert greedy(n, must, pairs(size), similar).taken_by.tolist() == expected


@given(GRAPHS)
def test_chained_keeps_the_best_of_each_component(graph):
    n, must, edges, size = graph
    pairs, similar = asked(edges, n)
    least = list(range(n))
    for _ in range(n):  # the least number runs along every edge
        for a, b in edges:
            least[a] = least[b] = min(least[a], least[b])
    expected = [STAYS if each < must or least[each] == each else least[each] for each in range(n)]
    assert chained(n, must, pairs(size), similar).taken_by.tolist() == expected


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=9, max_size=9), min_size=1, max_size=4), st.integers(1, 40)
)
def test_buckets_give_all_pairs_of_equal_keys_the_better_one_first(keys, size):
    keys = np.asarray(keys, dtype=np.uint32)
    found = list(Buckets.of(keys).pairs(size))
    made = [pair for a, b in found for pair in zip(a.tolist(), b.tolist(), strict=True)]
    expected = sorted(
        (a, b) for band in keys for a in range(9) for b in range(a + 1, 9) if band[a] == band[b]
    )
    assert sorted(made) == expected
    assert [a for a, _ in made] == sorted(a for a, _ in made)
    assert all(len(a) == min(size, len(made) - n * size) for n, (a, _) in enumerate(found))


def test_a_crowded_bucket_costs_its_size_times_the_leaders():
    n = 1000
    buckets = Buckets.of(np.zeros((1, n), dtype=np.uint32))
    made = {pair for a, b in buckets.pairs(777) for pair in zip(a.tolist(), b.tolist(), strict=True)}
    assert made == {(a, b) for a in range(LEADERS) for b in range(a + 1, n)}
    assert buckets.crowded == 1


def test_no_sets_have_no_pairs():
    assert list(Buckets.of(np.zeros((3, 0), dtype=np.uint32)).pairs()) == []
    assert list(Buckets.of(np.zeros((3, 1), dtype=np.uint32)).pairs()) == []

"""Diverse against a walk of one record at a time, and the reference values of DEITA's filter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.runs import Embeddings
from scar.selection.diversity.kept import Flat
from scar.selection.diversity.vectors import Vectors
from scar.selection.diversity.walk import Near, Walk
from scar.selection.rules import MustKeep, TopK
from scar.selection.rules.diverse import Diverse
from scar.selection.rules.rule import NOBODY
from scar.selection.scored import Scored
from tests.selection.embedded import cosine_matrix, families


def one_at_a_time(embeddings, scores, tau, k, tokens=None, must=()):
    """Walk as the definition says: gives what was accepted, and who crowded whom out."""
    cosines = cosine_matrix(embeddings)
    order = sorted(range(len(scores)), key=lambda row: (row not in must, -scores[row], row))
    costs = np.ones(len(scores), dtype=int) if tokens is None else tokens
    accepted, crowded, left = [], {}, k
    for row in order:
        if left < costs.min():
            break
        nearest = max(accepted, key=lambda other: cosines[row, other], default=None)
        if row not in must and nearest is not None and round(cosines[row, nearest], 6) > tau:
            crowded[row] = nearest
        elif costs[row] <= left:
            accepted.append(row)
            left -= costs[row]
    return accepted, crowded


def check(made, accepted, crowded):
    assert sorted(made.rows.tolist()) == sorted(accepted)
    assert {row: by for row, by in enumerate(made.crowded_by.tolist()) if by != NOBODY} == crowded


def test_four_vectors_by_hand():
    # b is near a; c is near b, which was refused, and not near a; d is far from all.
    embeddings = np.array([[1, 0], [0.96, 0.28], [0.8, 0.6], [0, 1]])
    made = Diverse(k=3, tau=0.9).select(Scored.of_columns(style=[4.0, 3, 2, 1], embeddings=embeddings))
    assert made.rows.tolist() == [0, 2, 3]
    assert made.crowded_by.tolist() == [NOBODY, 0, NOBODY, NOBODY]
    assert made.facts[0] == {"refused": 1, "walked": 4}


@pytest.mark.parametrize(
    ("n", "d", "k", "tau"), [(400, 8, 80, 0.8), (2500, 16, 700, 0.7), (1500, 4, 1500, 0.95)]
)
def test_it_equals_one_record_at_a_time(n, d, k, tau):
    embeddings, scores = families(n, d), np.random.default_rng(1).standard_normal(n).round(1)
    made = Diverse(k=k, tau=tau).select(Scored.of_columns(style=scores, embeddings=embeddings))
    check(made, *one_at_a_time(embeddings, scores, tau, k))


def test_a_budget_of_tokens_passes_over_what_does_not_fit():
    embeddings, draw = families(600, 6), np.random.default_rng(2)
    scores, tokens = draw.standard_normal(600), draw.integers(5, 90, 600)
    rows = Scored.of_columns(style=scores, embeddings=embeddings, tokens=tokens)
    made = Diverse(tokens=2000, tau=0.85).select(rows)
    check(made, *one_at_a_time(embeddings, scores.astype(np.float32), 0.85, 2000, tokens))
    assert tokens[made.rows].sum() <= 2000


@given(
    st.integers(1, 40), st.integers(1, 50), st.sampled_from([-1.0, 0.0, 0.6, 0.95, 1.0]), st.integers(0, 99)
)
def test_the_size_of_a_block_changes_nothing(n, k, tau, seed):
    embeddings, left = families(n, 3, seed), [k]

    def take(place):
        left[0] -= 1
        return True

    walks = []
    for size in (1, 2, 7, 64):
        left[0] = k
        vectors = Vectors(
            Scored.of_columns(style=np.zeros(n), embeddings=embeddings).embeddings(), np.arange(n)
        )
        walk = Walk(vectors, Near(tau), Flat(3), take=take, full=lambda: left[0] == 0)
        walks.append(walk.go(np.arange(n), size=size))
    assert len({(tuple(walk.accepted), tuple(sorted(walk.crowded.items()))) for walk in walks}) == 1
    cosines = np.round(cosine_matrix(embeddings), 6)[np.ix_(walks[0].accepted, walks[0].accepted)]
    assert (cosines[np.triu_indices(len(cosines), 1)] <= tau).all()


def test_tau_1_is_plain_top_k_even_of_copies_in_float16():
    embeddings = np.repeat(families(40, 384), 5, axis=0)
    assert (embeddings[0].astype(np.float32) @ embeddings[0].astype(np.float32)) != 1
    rows = Scored.of_columns(style=np.random.default_rng(0).standard_normal(200), embeddings=embeddings)
    assert Diverse(k=50, tau=1.0).select(rows).rows.tolist() == TopK(50).select(rows).rows.tolist()
    assert len(Diverse(k=200, tau=0.999999).select(rows).rows) == len(np.unique(embeddings, axis=0))


def test_a_cosine_at_tau_is_accepted_however_the_product_rounds():
    # Both cosines are 0.6: once by float32 coordinates that do not hold it, once exactly.
    rows = Scored.of_columns(
        style=[3.0, 2, 1], embeddings=np.array([[1, 0, 0], [0.6, 0.8, 0], [0.6, 0, 0.8]])
    )
    assert Diverse(k=3, tau=0.6).select(rows).rows.tolist() == [0, 1, 2]
    assert Diverse(k=3, tau=0.599998).select(rows).rows.tolist() == [0]


def test_hundreds_of_cosines_at_tau_are_all_decided_alike():
    # 0.9 with the first row, in 384 numbers of float32: products round to either side; 0.81 among each other.
    rest = np.random.default_rng(0).standard_normal((1500, 383))
    rest *= np.sqrt(0.19) / np.linalg.norm(rest, axis=1, keepdims=True)
    embeddings = np.zeros((1501, 384), dtype=np.float32)
    embeddings[0, 0], embeddings[1:, 0], embeddings[1:, 1:] = 1, 0.9, rest
    turned = np.linalg.qr(np.random.default_rng(1).standard_normal((384, 384)))[0].astype(np.float32)
    embeddings = embeddings @ turned
    products = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)) @ embeddings[0]
    assert (products[1:] > 0.9).any() and (products[1:] < 0.9).any()
    rows = Scored.of_columns(style=-np.arange(1501.0), embeddings=embeddings)
    assert len(Diverse(k=1501, tau=0.9).select(rows).rows) == 1501
    made = Diverse(k=1501, tau=0.899999).select(rows)
    assert made.rows.tolist() == [0] and set(made.crowded_by[1:]) == {0}


def walked(embeddings, tau, free, size):
    vectors = Vectors(Embeddings.of_array(embeddings), np.arange(len(embeddings)))
    return Walk(vectors, Near(tau), Flat(embeddings.shape[1])).go(np.arange(len(embeddings)), free, size)


def test_what_one_row_blocks_another_at_tau_does_not_free():
    # c is near a, and its cosine with b is 0.9, which float32 cannot tell from tau.
    a, b, c = [0.99, np.sqrt(1 - 0.99**2), 0], [0.9, -np.sqrt(0.19), 0], [1, 0, 0]
    assert walked(np.array([a, b, c]), 0.9, 0, 64).crowded == {2: 0}


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_rows_that_must_stay_may_be_copies_and_the_first_is_named(size):
    far, near, copy = [0, 0, 1], [1, 0, 0], [0.99, np.sqrt(1 - 0.99**2), 0]
    made = walked(np.array([far, near, near, copy, near]), 0.9, 3, size)
    assert made.accepted == [0, 1, 2] and made.crowded == {3: 1, 4: 1}


@pytest.mark.parametrize("size", [1, 2, 64])
def test_the_nearest_is_named_by_exact_cosines(size):
    # 0.95 and 0.95001: less apart than a product of 384 numbers is trusted.
    rows = np.zeros((3, 384))
    rows[2, 0] = rows[0, 1] = rows[1, 2] = 1
    rows[0] = np.sqrt(1 - 0.95**2) * rows[0] + 0.95 * rows[2]
    rows[1] = np.sqrt(1 - 0.95001**2) * rows[1] + 0.95001 * rows[2]
    assert walked(rows, 0.92, 2, size).crowded == {2: 1}


def test_rows_that_must_stay_come_first_however_near_they_are():
    embeddings, scores = families(300, 4), np.random.default_rng(3).standard_normal(300).astype(np.float32)
    rows = Scored.of_columns(style=scores, embeddings=embeddings, id=[str(row) for row in range(300)])
    must = [7, 8, 9, 250]
    made = Diverse(k=60, tau=0.5).select(rows.only(rows.eligible, np.isin(np.arange(300), must)))
    assert set(must) <= set(made.rows.tolist())
    check(made, *one_at_a_time(embeddings, scores, 0.5, 60, must=must))
    assert set(must) <= set((MustKeep(["7", "8", "9", "250"]) + Diverse(k=60)).select(rows).rows.tolist())


def test_edges():
    nan = float("nan")
    embeddings = np.array([[1.0, 0], [nan, nan], [0, 1], [1, 0]], dtype=np.float16)
    rows = Scored.of_columns(style=[1.0, nan, 1.0, 1.0], embeddings=embeddings)
    made = Diverse(k=10).select(rows)
    assert (made.rows.tolist(), made.crowded_by.tolist()) == ([0, 2], [NOBODY, NOBODY, NOBODY, 0])
    assert Diverse(k=1).select(rows.only(np.zeros(4, dtype=bool))).rows.tolist() == []
    assert Diverse(k=1).needs().embeddings


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="one of both, not neither"):
        Diverse()
    for tau in (1.5, float("nan"), "0.9"):
        with pytest.raises(InputError, match="cosine tau from -1 to 1"):
            Diverse(k=1, tau=tau)
    with pytest.raises(InputError, match="no embeddings"):
        Diverse(k=1).select(Scored.of_columns(style=[1.0]))
    with pytest.raises(InputError, match="record 1 has a score and no embedding"):
        Diverse(k=2).select(Scored.of_columns(style=[2.0, 1], embeddings=np.array([[1.0, 0], [0, 0]])))

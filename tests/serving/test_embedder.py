"""Embedder: an encoder's own embeddings, whatever stands beside a row."""

import numpy as np
import pytest

from scar.errors import InputError, RunError
from scar.records import Record, Turn
from scar.serving.embedder import Embedder
from scar.serving.trusted import run_again
from scar.serving.vectors import finite, shaped, unit
from scar.settings import Scoring
from tests.make import pool_rows
from tests.serving.made import joined, masked_means


@pytest.fixture(scope="module")
def embedder(encoder_bundle):
    return Embedder.load(encoder_bundle)


def test_embeddings_are_the_masked_means_of_transformers_of_length_1(embedder, encoder):
    rows = pool_rows(30)
    found = embedder.embed(rows)
    np.testing.assert_allclose(found, masked_means(encoder, map(joined, rows), 40), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found.dtype == np.float32 and found.shape == (30, embedder.width)


def test_an_embedding_is_of_the_row_alone(embedder):
    rows = pool_rows(20)
    whole = embedder.embed(rows)
    np.testing.assert_allclose(embedder.embed(rows[::-1])[::-1], whole, atol=1e-5)
    alone = np.concatenate([embedder.embed([row]) for row in rows[:6]])
    np.testing.assert_allclose(alone, whole[:6], atol=1e-5)


def test_a_long_row_keeps_its_beginning_and_a_long_dialogue_its_end(embedder, encoder):
    long = {"instruction": "what is a list", "response": "clearly " * 90}
    other = {**long, "response": "clearly " * 90 + "whatever"}
    found = embedder.embed([long, other])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[:1], masked_means(encoder, [joined(long)], 40), atol=1e-5)
    turns = (Turn("user", "clearly " * 90), Turn("assistant", "a list"), Turn("user", "what"))
    pairs = embedder.encode([Record(turns, "whatever")])
    told = embedder.encoder.text.decode(pairs.tokens, 0)
    assert told.startswith("[CLS] clearly") and told.endswith(": what whatever [SEP]") and " a list " in told
    assert pairs.truncated.all()


def test_a_row_that_cannot_be_read_is_nan_where_it_stands(embedder):
    rows = [*pool_rows(2), {"instruction": "x", "response": None}, 7, *pool_rows(1)]
    found = embedder.embed(rows)
    assert np.isnan(found).all(axis=1).tolist() == [False, False, True, True, False]
    np.testing.assert_allclose(found[4], found[0], atol=1e-6)
    assert embedder.embed([]).shape == (0, embedder.width)


def test_one_that_is_not_finite_is_run_again_alone(embedder, monkeypatch):
    pairs = embedder.encode([Record.plain(row["instruction"], row["response"]) for row in pool_rows(20)])
    want, score, alone = embedder.embed_pairs(pairs), embedder.model.score, []

    def sick(some, on_batch=None):
        vectors = score(some, on_batch)
        if len(some) == 20:
            vectors[3, 7], vectors[5] = np.inf, 0
        else:
            alone.append(len(some))
            if len(alone) == 2:
                vectors[:] = 0
        return vectors

    monkeypatch.setattr(embedder.model, "score", sick)
    found = embedder.embed_pairs(pairs)
    assert alone == [1, 1] and (~finite(found)).nonzero()[0].tolist() == [5]
    np.testing.assert_allclose(found[3], want[3], atol=1e-5)


def test_one_and_the_same_embedding_of_rows_that_differ_is_refused(embedder, monkeypatch):
    pairs = embedder.encode([Record.plain(row["instruction"], row["response"]) for row in pool_rows(20)])
    monkeypatch.setattr(embedder.model, "score", lambda some, _=None: np.ones((len(some), 32), np.float32))
    with pytest.raises(RunError, match="one and the same embedding for 20 pairs"):
        embedder.embed_pairs(pairs)
    monkeypatch.setattr(embedder.model, "score", lambda some, _=None: np.ones((len(some), 31), np.float32))
    with pytest.raises(RunError, match=r"shape \(20, 31\), not \(20, 32\)"):
        embedder.embed_pairs(pairs)


def test_precision_and_graph_are_meant_for_rankers(encoder_bundle):
    embedder = Embedder.load(encoder_bundle, Scoring(precision="bf16", graph="reference", batch_tokens=64))
    assert (embedder.choice.graph, embedder.choice.precision) == ("model.fused.onnx", "fp32")
    assert embedder.model.batch_tokens == 64


def test_a_ranker_is_no_encoder(quality_bundle):
    with pytest.raises(InputError, match="a quality ranker, no encoder"):
        Embedder.load(quality_bundle)


def test_vectors_without_a_direction_are_nan():
    vectors = np.float32([[3, 4], [0, 0], [np.inf, 1], [np.nan, 1], [1e30, 1e30], [1e-30, 0]])
    found = unit(vectors)
    np.testing.assert_allclose(found[[0, 4, 5]], [[0.6, 0.8], [0.5**0.5, 0.5**0.5], [1, 0]], rtol=1e-6)
    assert finite(found).tolist() == [True, False, False, False, True, True]
    assert unit(np.zeros((0, 3), np.float32)).shape == (0, 3) and finite(np.zeros((0, 3))).shape == (0,)
    assert shaped(np.zeros((0, 0), np.float32), 0, 4).shape == (0, 4)


def test_of_many_that_are_not_finite_none_is_run_again():
    values = np.full((20, 2), np.nan)
    run_again(values, lambda number: pytest.fail("an engine that gives nothing else"))
    assert np.isnan(values).all()

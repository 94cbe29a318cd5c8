"""The data of benchmarks: the answers that it states are true, and the same seed gives the same bytes."""

import json
from collections import Counter

import numpy as np
import pytest

from scar.errors import InputError
from scar.selection.rules.duplicates import ExactDuplicates, NearDuplicates
from serve.bench_data import scored, write_embeddings, write_pool
from tests.make import sentence, write_jsonl

N = 400


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Rows of three sources, whose words are their own."""
    words = [[f"{source}{number}" for number in range(300)] for source in "abc"]
    rows = [
        {
            "instruction": f"{sentence(number, 6, words[number % 3] * 9)} 我们",
            "response": " ".join(
                sentence(f"{number} {place}", 9, words[number % 3] * 9) for place in range(12)
            ),
            "source": "abc"[number % 3],
        }
        for number in range(150)
    ]
    return write_jsonl(tmp_path_factory.mktemp("real") / "real.jsonl", rows)


@pytest.fixture(scope="module")
def made(pool):
    out = pool.parent / "made.jsonl"
    write_pool(pool, out, N, seed=1)
    return out, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_copies_are_what_they_say(made):
    _, rows = made
    assert Counter(row["kind"] for row in rows) == {"original": 352, "near": 40, "exact": 8}
    copied = [row["copy_of"] for row in rows if row["copy_of"] is not None]
    assert len(copied) == len(set(copied)) == 48
    assert all(rows[number]["kind"] == "original" for number in copied)
    for row in (row for row in rows if row["copy_of"] is not None):
        one, other = (
            (each["instruction"] + " " + each["response"]).split() for each in (row, rows[row["copy_of"]])
        )
        differ = sum(a != b for a, b in zip(one, other, strict=True))
        assert row["source"] == rows[row["copy_of"]]["source"]
        assert differ == 0 if row["kind"] == "exact" else 1 <= differ <= max(1, 0.05 * len(one) + 1)


def test_a_row_keeps_to_its_source(made):
    for row in made[1]:
        own = {word[0] for word in row["response"].split() if word[1:].rstrip(".").isdigit()}
        assert own == {row["source"]}


def test_the_same_seed_gives_the_same_rows(made, pool, tmp_path):
    for seed in (1, 2):
        write_pool(pool, tmp_path / "again.jsonl", N, seed)
        assert ((tmp_path / "again.jsonl").read_bytes() == made[0].read_bytes()) == (seed == 1)


def test_rules_find_the_copies(made):
    out, rows = made
    pairs = {
        frozenset((number, row["copy_of"])) for number, row in enumerate(rows) if row["kind"] != "original"
    }
    exact = {pair for pair in pairs if any(rows[number]["kind"] == "exact" for number in pair)}
    given = scored(out, N, column="source")
    assert found(ExactDuplicates(), given) == exact
    assert exact <= found(NearDuplicates(words=3), given) <= pairs
    assert len(found(NearDuplicates(words=3), given)) >= 0.9 * len(pairs)
    assert len(set(given.groups("source").tolist())) == 3


def found(rule, given):
    return {frozenset((n, int(by))) for n, by in enumerate(rule.select(given).crowded_by) if by >= 0}


def test_embeddings_are_copies_with_the_noise_that_is_said(made, tmp_path):
    draw = np.random.default_rng(0)
    distinct = draw.standard_normal((20, 384), dtype=np.float32)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    write_embeddings(distinct, tmp_path, 1000, seed=0)
    rows, of = np.load(tmp_path / "embeddings.npy"), np.load(tmp_path / "embeddings_of.npy")
    assert rows.dtype == np.float16 and rows.shape == (1000, 384)
    assert Counter(of.tolist()) == dict.fromkeys(range(20), 50)
    lengths = np.linalg.norm(rows.astype(np.float32), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)
    cosines = (rows.astype(np.float32) * distinct[of]).sum(axis=1)
    # The noise adds 0.2^2 = 4 % to the squared length.
    assert cosines.mean() == pytest.approx(1 / np.sqrt(1.04), abs=2e-3)
    first = (tmp_path / "embeddings.npy").read_bytes()
    write_embeddings(distinct, tmp_path, 1000, seed=0)
    assert (tmp_path / "embeddings.npy").read_bytes() == first


def test_scored_has_embeddings_where_they_are_given(made, tmp_path):
    np.save(tmp_path / "e.npy", np.eye(N, 4, dtype=np.float16))
    assert scored(made[0], N, embeddings=tmp_path / "e.npy").embeddings().shape == (N, 4)
    with pytest.raises(InputError, match="no embeddings"):
        scored(made[0], N).embeddings()

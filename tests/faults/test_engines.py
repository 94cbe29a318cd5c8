"""Engines that lie or run out of memory, in real runs: nothing wrong is committed, nothing right is lost."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar import Scorer
from scar.errors import RunError
from scar.serving.run import score_pool
from scar.settings import Scoring
from tests.faults.drive import drive, score
from tests.make import pool_rows, write_jsonl
from tests.serving.made import remade, sines

FEW = Scoring(chunk_rows=16)


def id_of(bundle, word):
    return int(Scorer.load(bundle).encoder.text.encode([word], 8).ids[1])


def pool_with(folder, words):
    """64 rows whose responses hold the word zip where it is wanted, which no canary and no other row does."""
    rows = pool_rows(64)
    for number in words:
        rows[number]["response"] += " z"
    return write_jsonl(folder / "pool.jsonl", rows)


@pytest.fixture
def liar(quality_bundle, tmp_path):
    """A bundle whose graph lies of sequences that hold the letter z alone."""
    word = id_of(quality_bundle, "z")
    types = {"token_types": False}
    return lambda lie: remade(quality_bundle, tmp_path / lie, text=types, graph=sines(lie, word))


def committed(run):
    return sorted(int(path.stem) for path in (run / "chunks").glob("*.parquet"))


def test_one_row_without_a_finite_score_is_set_aside_and_its_mates_are_not(liar, tmp_path):
    pool = pool_with(tmp_path, [37])
    report = score_pool(pool, liar("nan"), tmp_path / "run", scoring=FEW)
    assert report.counts.set_aside == {"non_finite": 1} and report.counts.scored == 63
    assert pq.read_table(tmp_path / "run" / "chunks")["reason"].to_pylist()[37] == "non_finite"


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_rows_without_a_finite_score_stop_the_run_at_their_chunk(workers, liar, tmp_path):
    pool = pool_with(tmp_path, [36, 37])
    with pytest.raises(RunError, match=r"chunk 2 .*: 2 of 16 scores of 'quality' are not finite"):
        score_pool(pool, liar("nan"), tmp_path / "run", scoring=Scoring(chunk_rows=16, workers=workers))
    assert committed(tmp_path / "run") == [0, 1]


def test_many_rows_without_a_finite_score_are_not_run_one_by_one(liar, monkeypatch):
    scorer = Scorer.load(liar("nan"))
    rows = [{**row, "response": row["response"] + " z"} for row in pool_rows(64)]
    sizes, run = [], scorer.model.model.run
    monkeypatch.setattr(
        scorer.model.model,
        "run",
        lambda outputs, feeds: (sizes.append(len(feeds["input_ids"])), run(outputs, feeds))[1],
    )
    assert np.isnan(scorer.score(rows)).all() and sizes.count(1) == 0
    sizes.clear()
    assert np.isnan(scorer.score([*rows[:8], *pool_rows(56)])).sum() == 8 and sizes.count(1) == 8


def test_a_constant_score_stops_the_run_at_its_chunk(liar, tmp_path):
    pool = pool_with(tmp_path, range(32, 48))
    with pytest.raises(
        RunError, match=r"chunk 2 .*one and the same score, 0.5, for 16 pairs that all differ"
    ):
        score_pool(pool, liar("constant"), tmp_path / "run", scoring=FEW)
    assert committed(tmp_path / "run") == [0, 1]


def test_few_pairs_of_one_score_are_legitimate(liar, tmp_path):
    pool = pool_with(tmp_path, range(32, 47))
    assert score_pool(pool, liar("constant"), tmp_path / "run", scoring=FEW).counts.scored == 64


def test_the_same_row_many_times_is_legitimate(quality_bundle, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(1) * 40)
    assert score_pool(pool, quality_bundle, tmp_path / "run", scoring=FEW).counts.scored == 40


def test_rows_that_the_tokenizer_cannot_tell_apart_are_the_same(quality_bundle):
    rows = [{"instruction": "what", "response": chr(0x4E00 + n)} for n in range(40)]
    assert np.ptp(Scorer.load(quality_bundle).score(rows)) == 0


def test_too_few_scores_stop_the_run_at_their_chunk(liar, tmp_path):
    pool = pool_with(tmp_path, [])
    with pytest.raises(
        RunError, match=r"chunk 0 .*: the engine gave results of shape \(4,\) for \d+ sequences"
    ):
        score_pool(pool, liar("few"), tmp_path / "run", scoring=FEW)
    assert committed(tmp_path / "run") == []


SICK = """
from scar.serving.engines.onnx import OnnxRuntime
run, calls = OnnxRuntime.run, []

def sick(self, outputs, feeds):
    calls.append(1)
    found = run(self, outputs, feeds)
    return {lie} if len(calls) > {after} else found

OnnxRuntime.run = sick
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("lie", ["[some + 0.5 for some in found]", "[0 * some for some in found]"])
def test_an_engine_that_goes_wrong_in_the_middle_stops_the_run(lie, workers, bundle, tmp_path):
    """As an engine of which one long request made all later answers zeros, without an error."""
    pool = pool_with(tmp_path, [])
    done = drive(
        tmp_path,
        *score(pool, bundle, tmp_path / "run", "--chunk_rows", 16, "--workers", workers),
        patch=SICK.format(lie=lie, after=20),
    )
    assert done.returncode == 1
    assert (
        "the engine does not give the scores it gave before" in done.err
        or "one and the same score" in done.err
    )
    done_right = committed(tmp_path / "run")
    assert 0 < len(done_right) < 4
    score_pool(pool, bundle, tmp_path / "clean", scoring=FEW)
    for chunk in done_right:
        name = f"chunks/{chunk:08d}.parquet"
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "clean" / name).read_bytes()


TIGHT = """
from scar.serving.engines.onnx import OnnxRuntime
run = OnnxRuntime.run

def tight(self, outputs, feeds):
    if next(iter(feeds.values())).size > 128:
        raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running "
            "MatMul node. Status Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal() "
            "Failed to allocate memory for requested buffer of size 8388608000")
    return run(self, outputs, feeds)

OnnxRuntime.run = tight
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_out_of_memory_goes_on_in_smaller_batches(workers, quality_bundle, tmp_path):
    pool = pool_with(tmp_path, [])
    score_pool(pool, quality_bundle, tmp_path / "clean", scoring=Scoring(chunk_rows=16))
    arguments = score(pool, quality_bundle, tmp_path / "run", "--chunk_rows", 16, "--workers", workers)
    done = drive(tmp_path, *arguments, patch=TIGHT)
    assert done.returncode == 0, done.err
    # Each process, this one with its canaries too, finds out once.
    assert done.err.count("batches of at most 128 tokens from here on, not 256") == 1 + workers
    found, want = (pq.read_table(tmp_path / run / "chunks")["quality"].to_numpy() for run in ("run", "clean"))
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["scored"] == 64


@pytest.mark.slow
def test_a_row_that_does_not_fit_alone_stops_the_run_with_the_flag(quality_bundle, tmp_path):
    pool = pool_with(tmp_path, [])
    patch = TIGHT.replace("> 128", "> 30").replace(
        "OnnxRuntime.run = tight", "OnnxRuntime.run = tight if WORKER else run"
    )
    done = drive(tmp_path, *score(pool, quality_bundle, tmp_path / "run", "--workers", 1), patch=patch)
    assert (
        done.returncode == 1
        and "--batch_tokens" in done.err
        and "out of memory on one sequence of" in done.err
    )

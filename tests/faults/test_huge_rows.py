"""Huge rows cost what any long row costs: they are cut before they are tokenised, scored, and flagged as truncated."""

import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar import Scorer
from scar.encoding import CHARACTERS_A_TOKEN, TextEncoder, TextSettings
from scar.errors import InputError
from scar.serving.run import score_pool
from scar.settings import Reading, Scoring
from tests.faults.drive import drive, score
from tests.make import pool_rows, write_jsonl
from tests.serving.made import remade

MILLIONS = 10_000_000
TURNS = 10_000
HUGE = {
    "dots": {"instruction": "what", "response": "." * MILLIONS},
    "letters": {"instruction": "a" * MILLIONS, "response": "a" * MILLIONS},
    "cjk": {"instruction": "what", "response": "好" * (MILLIONS // 3)},
    "token": {"instruction": "what", "response": "x" * 1_000_000},
    "instruction": {"instruction": "list " * (MILLIONS // 5), "response": "items"},
}
DIALOGUE = {
    "messages": [
        {"role": ("user", "assistant")[n % 2], "content": f"{n} what is a list of items {n}"}
        for n in range(TURNS)
    ]
}


@pytest.fixture
def seen(monkeypatch):
    """The longest text that any tokenizer was given."""
    most, bare = [0], TextEncoder.bare

    def noted(self, texts):
        most[0] = max([most[0], *map(len, texts)])
        return bare(self, texts)

    monkeypatch.setattr(TextEncoder, "bare", noted)
    return most


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("ranker", ["bundle", "quality_bundle"])
def test_a_huge_row_is_scored_and_flagged_and_the_tokenizer_sees_little_of_it(name, ranker, seen, request):
    scorer = Scorer.load(request.getfixturevalue(ranker))
    limit = scorer.encoder.settings.max_tokens
    started = time.perf_counter()
    told, plain = scorer.explain([HUGE[name], pool_rows(1)[0]])
    assert time.perf_counter() - started < 5
    assert np.isfinite(told.score) and told.truncated and not plain.truncated
    assert told.tokens <= 2 * limit and seen[0] <= CHARACTERS_A_TOKEN * limit
    assert plain.score == pytest.approx(float(scorer.score(pool_rows(1))[0]), abs=1e-5)


@pytest.mark.parametrize(("cut", "kept"), [("tail", "clearly"), ("head", "whatever")])
def test_the_cut_keeps_the_end_that_it_should(cut, kept, bundle, tmp_path):
    scorer = Scorer.load(remade(bundle, tmp_path / cut, text={"response": cut}))
    huge = "clearly " * 100_000 + "whatever " * 100_000
    both = [{"instruction": "what", "response": text} for text in (huge, f"{kept} " * 100)]
    assert np.ptp(scorer.score(both)) <= 1e-5


@pytest.mark.parametrize("turns", ["last", "each"])
def test_a_dialogue_of_ten_thousand_turns_is_one_record(turns, bundle, seen, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", [DIALOGUE])
    started = time.perf_counter()
    score_pool(pool, bundle, tmp_path / "run", reading=Reading(turns=turns))
    assert time.perf_counter() - started < 20
    (row,) = pq.read_table(tmp_path / "run" / "chunks").to_pylist()
    assert row["reason"] is None and row["style_truncated"]
    assert seen[0] <= CHARACTERS_A_TOKEN * 32


def test_a_ranker_without_a_sane_limit_is_refused(bundle, tmp_path):
    assert TextSettings(0).max_tokens == 512
    with pytest.raises(InputError, match="max_tokens must be at most 32,768"):
        Scorer.load(remade(bundle, tmp_path / "endless", text={"max_tokens": 10**30}))


PEAK = """
import atexit
from scar.serving.engines.machine import peak_memory
atexit.register(lambda: WORKER or (HERE / "peak").write_text(str(peak_memory())))
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_huge_rows_of_a_run_need_memory_in_proportion(workers, bundle, tmp_path):
    rows = pool_rows(40)
    for number, row in enumerate(HUGE.values()):
        rows[3 * number] |= row
    peaks = {}
    for name, some in {"plain": pool_rows(40), "huge": rows}.items():
        (tmp_path / name).mkdir()
        pool = write_jsonl(tmp_path / name / "pool.jsonl", some)
        started = time.perf_counter()
        flags = ("--workers", workers, "--chunk_rows", 8)
        done = drive(tmp_path / name, *score(pool, bundle, tmp_path / name / "run", *flags), patch=PEAK)
        assert done.returncode == 0, done.err
        assert time.perf_counter() - started < 30
        peaks[name] = int((tmp_path / name / "peak").read_text())
    table = pq.read_table(tmp_path / "huge" / "run" / "chunks").to_pydict()
    assert table["reason"] == [None] * 40
    assert [n for n in range(40) if table["style_truncated"][n]] == [0, 3, 6, 9, 12]
    assert peaks["huge"] - peaks["plain"] < 20 * MILLIONS


def test_huge_rows_in_one_chunk_do_not_change_the_scores_of_others(bundle, tmp_path):
    rows = [*pool_rows(10), HUGE["dots"], HUGE["letters"]]
    want = Scorer.load(bundle).score(pool_rows(10))
    score_pool(
        write_jsonl(tmp_path / "pool.jsonl", rows), bundle, tmp_path / "run", scoring=Scoring(chunk_rows=64)
    )
    found = pq.read_table(tmp_path / "run" / "chunks")["style"].to_numpy()
    np.testing.assert_allclose(found[:10], want, atol=1e-5)

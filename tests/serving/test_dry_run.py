"""What a sample says about a pool, and that it writes nothing."""

import pytest

from scar.cli import main
from scar.errors import InputError
from scar.pools import RowReader, find
from scar.serving.dry_run import BLOCK, dry_run, spread
from scar.serving.run import score_pool
from scar.settings import Reading, Scoring
from tests.make import pool_rows, write_jsonl

BAD = 7
"""Every so manieth row of the pool is no JSON."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    rows = pool_rows(900)
    for number in range(0, 900, BAD):
        rows[number] = b"{"
    return write_jsonl(tmp_path_factory.mktemp("dry") / "pool.jsonl", rows)


def spread_of(rows, sample, folder):
    pool = write_jsonl(
        folder / f"{rows}-{sample}.jsonl", [{"instruction": "a", "response": str(n)} for n in range(rows)]
    )
    files = find(pool)
    number, items = spread(files, RowReader(files, Reading()), sample)
    return number, [item.address.row for (item,) in items]


@pytest.mark.parametrize(("rows", "sample"), [(1, 5), (BLOCK + 1, 5), (999, 30), (1000, 1000), (5000, 40)])
def test_a_sample_is_blocks_of_rows_spread_over_the_pool(rows, sample, tmp_path):
    number, kept = spread_of(rows, sample, tmp_path)
    assert number == rows and min(rows, sample) - BLOCK <= len(kept) <= 2 * sample + BLOCK
    blocks = sorted({row // BLOCK for row in kept})
    assert kept == [row for block in blocks for row in range(block * BLOCK, min(rows, (block + 1) * BLOCK))]
    steps = {after - before for before, after in zip(blocks, blocks[1:], strict=False)}
    assert len(steps) <= 1  # evenly
    assert rows - kept[-1] <= BLOCK * max(steps, default=1)  # to the end


def test_the_estimate_is_what_the_run_counts(pool, bundle, tmp_path):
    estimate = dry_run(pool, bundle, sample=150)
    counts = score_pool(pool, bundle, tmp_path / "run").counts
    assert estimate.rows == counts.rows == 900 and 150 <= estimate.sampled <= 310
    assert estimate.all_tokens == pytest.approx(counts.tokens, rel=0.1)
    aside = sum(counts.set_aside.values()) / counts.records
    assert estimate.set_aside / estimate.records == pytest.approx(aside, abs=0.05)
    cut = counts.truncated / counts.scored
    scored = estimate.records - estimate.set_aside
    assert estimate.truncated["style"] / scored == pytest.approx(cut, abs=0.05)
    assert estimate.seconds > 0 and estimate.all_seconds == pytest.approx(estimate.seconds * estimate.whole)


def test_a_small_pool_is_counted_exactly(bundle, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(20))
    estimate = dry_run(pool, bundle)
    assert (estimate.rows, estimate.sampled, estimate.whole) == (20, 20, 1)
    assert estimate.all_tokens == score_pool(pool, bundle, tmp_path / "run").counts.tokens


def test_truncated_records_are_told_of_each_ranker(bundle, quality_bundle, tmp_path):
    rows = [{"instruction": "what", "response": "clearly " * (200 if n % 2 else 3)} for n in range(10)]
    estimate = dry_run(write_jsonl(tmp_path / "pool.jsonl", rows), [bundle, quality_bundle])
    assert estimate.truncated == {"style": 5, "quality": 5}


def test_larger_chunks_need_more_memory(pool, bundle):
    small, large = (dry_run(pool, bundle, scoring=Scoring(chunk_rows=rows)) for rows in (100, 100_000))
    assert large.memory_bytes > small.memory_bytes + 100 * 2**20


def test_the_command_tells_and_writes_nothing(pool, bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--ranker", str(bundle), "--dry-run"]
    for out in ([], ["--out", "run"]):
        assert main(["score", str(pool), *flags, *out]) == 0
        shown = capsys.readouterr().out
        for told in (
            "rows: 900",
            "14.",
            "set aside",
            "truncated: style",
            "tokens: about",
            "time: about",
            "memory: about",
        ):
            assert told in shown
    assert not list(tmp_path.iterdir())


def test_without_a_dry_run_a_run_folder_is_needed(pool, bundle, capsys):
    assert main(["score", str(pool), "--ranker", str(bundle)]) == 2
    assert "--out RUN is required" in capsys.readouterr().err


def test_an_empty_pool_is_an_error(bundle, tmp_path):
    with pytest.raises(InputError, match="the pool is empty"):
        dry_run(write_jsonl(tmp_path / "pool.jsonl", []), bundle)


def test_a_pool_of_rows_that_all_are_set_aside_is_told(bundle, tmp_path):
    rows = [{"instruction": "a", "response": "b"}, *[{"instruction": "", "response": "b"}] * 9]
    estimate = dry_run(write_jsonl(tmp_path / "pool.jsonl", rows), bundle)
    assert (estimate.records, estimate.set_aside) == (10, 9)

"""The audit: figures against other ways to the same number, and warnings where they are due."""

import zlib

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu, spearmanr

from scar.cli import main
from scar.records import Record
from scar.rules import Longest, Random, Scored, TopK
from scar.runs import Embeddings
from scar.selection.audit import side
from scar.selection.audit.audit import radius
from scar.selection.audit.side import Tally
from scar.selection.keep import select
from tests.make import pool_rows, write_jsonl
from tests.selection.made import make_run

N = 60


@pytest.fixture
def pool(tmp_path):
    """60 rows; every instruction stands twice, the last five rows repeat the first five."""
    rows = pool_rows(N - 5)
    return write_jsonl(tmp_path / "pool.jsonl", [{**row, "lang": "en"} for row in [*rows, *rows[:5]]])


def run_of(pool, tmp_path, scores):
    tokens = np.random.default_rng(1).integers(5, 500, N).tolist()
    return make_run(tmp_path / "run", pool, {"style": scores}, more={"style_tokens": tokens}), np.array(
        tokens
    )


def test_length_is_measured_as_scipy_does(pool, tmp_path):
    scores = np.random.default_rng(0).normal(size=N)
    run, tokens = run_of(pool, tmp_path, scores.tolist())
    audit = select(run, TopK(20), tmp_path / "kept.jsonl").audit
    assert audit.length_correlation == pytest.approx(spearmanr(scores.astype(np.float32), tokens).statistic)
    best = np.argsort(-scores)
    expected = mannwhitneyu(tokens[best[:20]], tokens[best[20:]]).statistic / (20 * 40)
    assert audit.length_auc == pytest.approx(expected) and not audit.warnings
    assert audit.mean_tokens == pytest.approx(tokens[best[:20]].mean())


def test_a_score_that_is_length_is_warned_of(pool, tmp_path, capsys):
    run, tokens = run_of(pool, tmp_path, [0.0] * N)
    assert select(run, Longest(k=20), tmp_path / "a.jsonl").audit.length_auc == pytest.approx(1, abs=0.01)
    assert main(["select", str(run), "--out", str(tmp_path / "b.jsonl"), "--top", "20"]) == 0
    assert "warning" not in capsys.readouterr().out
    again = make_run(
        tmp_path / "short", pool, {"style": (-tokens).tolist()}, more={"style_tokens": tokens.tolist()}
    )
    assert main(["select", str(again), "--out", str(tmp_path / "c.jsonl"), "--top", "20"]) == 0
    assert "warning: length alone explains this selection: it keeps the shortest" in capsys.readouterr().out


def test_texts_of_kept_and_twin_are_counted(pool, tmp_path):
    run, _ = run_of(pool, tmp_path, np.arange(N)[::-1].tolist())
    audit = select(run, TopK(N), tmp_path / "kept.jsonl").audit
    assert audit.kept == audit.random and audit.length_auc is None
    assert audit.kept.duplicates == pytest.approx(5 / N)
    distinct = {f"{number // 2}" for number in range(N - 5)}
    assert audit.kept.repeated_instructions == pytest.approx(1 - len(distinct) / N)
    shares = dict((value, (before, after)) for value, before, after in audit.shares()["source"])
    assert set(shares) == {"s0", "s1", "s2"} and sum(after for _, after in shares.values()) == pytest.approx(
        1
    )
    assert audit.shares()["language"] == [("en", 1.0, 1.0)]


def test_the_twin_is_the_rule_random(pool, tmp_path):
    run, _ = run_of(pool, tmp_path, np.arange(N).tolist())
    mean = select(run, TopK(10), tmp_path / "kept.jsonl").audit.mean_score_random
    assert mean == pytest.approx(np.mean(Random(k=10).select(Scored.of_run(run)).scores))


def test_kept_records_of_later_rows_are_looked_at_though_writing_ended_before(pool, tmp_path):
    """Writing stops at the last kept row; the twin's rows come after it."""
    run, _ = run_of(pool, tmp_path, np.arange(N)[::-1].tolist())
    audit = select(run, TopK(3), tmp_path / "kept.jsonl").audit
    assert (audit.kept.records, audit.random.records, audit.pool.records) == (3, 3, N)


def test_compression_is_that_of_the_texts():
    records = [Record.plain(f"ask {n}", "the answer " * 20) for n in range(5)]
    tally = Tally()
    for record in records:
        tally.add(record, {})
    text = "".join(f"{record.turns[0].text}\n{record.response}\n" for record in records).encode()
    assert tally.side().compression == pytest.approx(len(text) / len(zlib.compress(text, 9)))


def test_compression_stops_at_a_bound(monkeypatch):
    monkeypatch.setattr(side, "MOST_BYTES", 1000)
    short, long = Tally(), Tally()
    for _ in range(3):
        short.add(Record.plain("i", "x" * 997), {})
    for _ in range(300):
        long.add(Record.plain("i", "x" * 997), {})
    assert short.side().compression == long.side().compression


def test_nothing_has_figures_of_nothing():
    assert Tally().side().records == 0 and Tally().side().compression == 0


def test_the_radius_is_the_largest_distance_to_the_nearest(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pool, centres = np.arange(50), np.array([3, 7, 11])
    expected = cdist(vectors, vectors[centres]).min(axis=1).max()
    assert radius(Embeddings.of_array(vectors), pool, centres) == pytest.approx(expected, rel=1e-5)


def test_the_command_shows_the_table(pool, tmp_path, capsys):
    run, _ = run_of(pool, tmp_path, np.random.default_rng(0).normal(size=N).tolist())
    assert main(["select", str(run), "--out", str(tmp_path / "kept.jsonl"), "--top", "9"]) == 0
    shown = capsys.readouterr().out
    for word in (
        "audit",
        "duplicates",
        "compression ratio",
        "repeated instructions",
        "source: s0",
        "language: en",
    ):
        assert word in shown

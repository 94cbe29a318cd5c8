"""Commits that are slow hold up what comes before them: chunks wait unread, and memory stays what it is."""

import os

import pytest

from tests.faults.drive import drive, score
from tests.make import pool_rows, write_jsonl

CHUNKS, ROWS, CHARACTERS = 40, 16, 100_000
SLOW = """
import gc
from scar.cli import progress
from scar.serving.engines.machine import peak_memory
from scar.serving.pipeline import Scored, Work, _Ready

seen, peaks = [], []

class Slow(progress.Bar):
    def chunk(self, counts):
        time.sleep({nap})
        seen.append(sum(isinstance(each, (Work, _Ready, Scored)) for each in gc.get_objects()))
        peaks.append(peak_memory())
        (HERE / "seen").write_text(f"{{len(seen)}} {{max(seen)}} {{peaks[-1] - peaks[min(9, len(peaks) - 1)]}}")

progress.Bar = Slow
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """64 MB in 40 chunks of 1.6 MB."""
    rows = pool_rows(CHUNKS * ROWS)
    for number, row in enumerate(rows):
        row["response"] += f" {number} " + "list " * (CHARACTERS // 5)
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", rows)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_chunks_wait_and_do_not_pile_up(workers, pool, bundle, tmp_path):
    if workers > len(os.sched_getaffinity(0)):
        pytest.skip("needs two processors")
    flags = ("--workers", workers, "--chunk_rows", ROWS)
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *flags), patch=SLOW.format(nap=0.15))
    assert done.returncode == 0, done.err
    chunks, alive, grown = map(int, (tmp_path / "seen").read_text().split())
    assert chunks == CHUNKS
    # Two read ahead, those that are being scored or wait for it, the one that is committed, and one between stages.
    assert 4 <= alive <= 2 + (workers + 2 if workers else 2) + 2
    # The last 30 chunks need what the first ten did.
    assert grown < 30 * ROWS * CHARACTERS / 3

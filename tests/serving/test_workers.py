"""Several processes give the bytes that one gives."""

import multiprocessing
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.serving.engines import processors
from scar.serving.run import score_pool
from scar.serving.workers import shares
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl

FEW = Scoring(chunk_rows=16, carry=("source",))


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", pool_rows(70))


@given(st.lists(st.integers(0, 500), unique=True, min_size=1, max_size=80), st.data())
def test_every_processor_goes_to_one_worker_and_shares_are_fair(numbers, data):
    count = data.draw(st.integers(1, len(numbers)))
    dealt = shares.deal(numbers, count)
    assert [number for share in dealt for number in share] == numbers
    sizes = [len(share) for share in dealt]
    assert len(dealt) == count and max(sizes) - min(sizes) <= 1


def test_more_workers_than_processors_are_refused():
    with pytest.raises(InputError, match="--workers 3: there are 2 processors"):
        shares.deal([0, 1], 3)


def test_threads_and_workers_exclude_each_other():
    with pytest.raises(InputError, match="--threads and --workers"):
        Scoring(threads=2, workers=2)


two = pytest.mark.skipif(processors() < 2, reason="needs two processors")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=two)])
def test_workers_write_what_one_process_writes_and_tell_of_every_batch(count, pool, bundle, tmp_path):
    one, several = tmp_path / "one", tmp_path / "several"
    score_pool(pool, bundle, one, scoring=FEW)
    watch = Watching()
    report = score_pool(
        pool, bundle, several, scoring=Scoring(chunk_rows=16, carry=("source",), workers=count), watch=watch
    )
    assert report.padding > 0 and len(list((one / "chunks").iterdir())) > 3
    assert watch.rows == pytest.approx(70) and watch.batches > 5 and watch.chunks == 5
    for file in sorted(path for path in one.rglob("*") if path.is_file() and path.name != "run.json"):
        assert file.read_bytes() == (several / file.relative_to(one)).read_bytes(), file.name


class Watching:
    """A watch that counts."""

    def __init__(self):
        self.rows = self.batches = self.chunks = 0

    def start(self, rows, before=0):
        assert rows == 70

    def batch(self, rows, tokens, padded):
        assert 0 < tokens <= padded
        self.rows += rows
        self.batches += 1

    def chunk(self, counts):
        self.chunks += 1


class Interrupted(Exception):
    """Stands for Ctrl-C in whoever takes the results."""


class Interrupting:
    """A watch that raises when the first chunk is committed."""

    def __init__(self):
        self.batches = 0

    def start(self, rows, before=0):
        pass

    def batch(self, rows, tokens, padded):
        time.sleep(0.01)
        self.batches += 1

    def chunk(self, counts):
        raise Interrupted


def test_who_stops_early_waits_for_a_batch_not_for_a_chunk(pool, bundle, tmp_path):
    watch = Interrupting()
    few_tokens = Scoring(chunk_rows=16, batch_tokens=16)
    with pytest.raises(Interrupted):
        score_pool(pool, bundle, tmp_path / "run", scoring=few_tokens, watch=watch)
    before = watch.batches
    time.sleep(0.1)
    assert watch.batches == before < 70, "each batch holds one text at least; 16 rows have some 30"


@pytest.mark.slow
def test_who_stops_early_leaves_no_process_behind(pool, bundle, tmp_path):
    with pytest.raises(Interrupted):
        score_pool(
            pool,
            bundle,
            tmp_path / "run",
            scoring=Scoring(chunk_rows=16, workers=1),
            watch=Interrupting(),
        )
    assert multiprocessing.active_children() == []


def test_too_many_workers_are_refused_before_a_finished_run_is_deleted(pool, bundle, tmp_path):
    score_pool(pool, bundle, tmp_path / "run", scoring=FEW)
    with pytest.raises(InputError, match="--workers 9999"):
        score_pool(pool, bundle, tmp_path / "run", scoring=Scoring(workers=9999), overwrite=True)
    assert (tmp_path / "run" / "run.json").is_file()


def test_a_quota_counts_processors_and_pins_to_none(monkeypatch):
    monkeypatch.setattr(shares, "processors", lambda: 1)
    monkeypatch.setattr(shares.os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert shares.share_out(1) == [shares.Share(1)]
    monkeypatch.setattr(shares, "processors", lambda: 3)
    assert shares.share_out(2) == [shares.Share(1, [3]), shares.Share(2, [5, 7])]

"""What was done before, told by a listing and made sure of while the rest is scored."""

import logging
import threading
import uuid

import pytest

from scar.runs import CHUNKS, LEDGER, SET_ASIDE_PARTS, Plan, data_name, entry_name, open_folder
from scar.serving import before, ledger
from scar.serving.before import before as looked
from scar.serving.ledger import Counts
from scar.serving.run import score_pool
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl

pytest.importorskip("fsspec")
SCORING = Scoring(chunk_rows=4)
ROOMS = (CHUNKS, SET_ASIDE_PARTS, LEDGER)


@pytest.fixture
def store(bundle, tmp_path, monkeypatch):
    """A finished run of six chunks on a store, and what makes it unfinished: run.json goes."""
    monkeypatch.setattr(before, "MANY", 3)
    pool = write_jsonl(tmp_path / "a.jsonl", [*pool_rows(23), b"{broken"])
    folder = open_folder(f"memory://{uuid.uuid4().hex}/run")
    score_pool(pool, bundle, folder, scoring=SCORING)
    return pool, folder


def contents(folder):
    return {name: folder.open(name).read() for room in ROOMS for name in folder.listing(room)}


def put(folder, name, content):
    with folder.writing(name) as stream:
        stream.write(content)


class Told:
    """Watches a run."""

    def __init__(self):
        self.before, self.rows = None, []

    def start(self, rows, before=0):
        self.before = before

    def batch(self, *_):
        pass

    def chunk(self, counts):
        self.rows.append(counts.rows)


def test_what_is_listed_but_not_whole_is_scored_after_the_rest(store, bundle, caplog):
    pool, folder = store
    whole, run = contents(folder), folder.open("run.json").read()
    folder.remove(["run.json", entry_name(5), data_name(1)])
    put(folder, data_name(2), b"cut")
    put(folder, entry_name(3), whole[entry_name(3)].replace(b'"rows": 4', b'"rows": 5'))
    told = Told()
    with caplog.at_level(logging.WARNING, "scar"):
        report = score_pool(pool, bundle, folder, scoring=SCORING, watch=told)
    assert contents(folder) == whole
    assert "3 chunks that have an entry are not whole: they are scored again" in caplog.text
    # Five entries are listed, so chunk 5 alone is begun with; two of the five are found to be whole.
    assert (told.before, told.rows) == (20, [24, 16, 20, 24])
    assert (report.counts.rows, report.counts.scored, report.rows_scored) == (24, 23, 16)
    assert folder.open("run.json").read() != run
    with caplog.at_level(logging.WARNING, "scar"):
        assert score_pool(pool, bundle, folder, scoring=SCORING).already


def test_a_few_chunks_are_read_at_once_and_many_of_a_store_meanwhile(store, monkeypatch):
    _, folder = store
    plan = Plan.read(folder)
    with looked(folder, plan, plan.chunks) as had:
        counts = Counts(rows=24 + 8)  # eight were scored meanwhile
        assert (had.chunks, had.counts) == (set(range(6)), Counts(rows=24))
        assert had.lost(counts) == frozenset()
        assert (counts.rows, counts.scored) == (32, 23)
    monkeypatch.setattr(before, "MANY", 7)
    with looked(folder, plan, plan.chunks) as had:
        assert (had.reading, had.counts.scored) == (None, 23)
        assert had.lost(had.counts) == frozenset()


def test_nobody_waits_for_the_reading_once_the_block_is_left(store, monkeypatch):
    _, folder = store
    plan, read, entries = Plan.read(folder), [], ledger.entries
    reached, left = threading.Event(), threading.Event()

    def slow(*words):
        for each in entries(*words):
            read.append(each)
            if len(read) == 2:
                reached.set()
                left.wait(10)
            yield each

    monkeypatch.setattr(ledger, "entries", slow)
    with pytest.raises(KeyboardInterrupt), looked(folder, plan, plan.chunks) as had:
        assert reached.wait(10)
        threading.Timer(0.1, left.set).start()
        raise KeyboardInterrupt
    assert len(read) == 2
    assert had.reading.result().chunks == {0}

"""The chunks that are left are scored and committed, no others."""

import pytest

from scar.errors import InputError
from scar.runs import Disk, Shard
from scar.serving.job import Job
from scar.serving.ledger import done
from scar.serving.plan import settle
from scar.serving.session import Session
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl


class Watched:
    """Writes down what it is told."""

    def __init__(self):
        self.started, self.rows, self.chunks = None, 0.0, []

    def start(self, rows, before=0):
        self.started = rows, before

    def batch(self, rows, tokens, padded):
        self.rows += rows

    def chunk(self, counts):
        self.chunks.append(counts.rows)


@pytest.fixture
def session(tmp_path, bundle):
    pool = write_jsonl(tmp_path / "pool.jsonl", [*pool_rows(11), b"{broken"])
    job = Job.of(pool, bundle, None, Scoring(engine="onnxruntime", chunk_rows=4))
    folder = Disk(tmp_path / "run")
    return Session(folder, settle(folder, job, "resume"), job, Watched())


def test_all_is_scored_and_told(session):
    report = session.score()
    assert session.watch.started == (12, 0) and session.watch.chunks == [4, 8, 12]
    assert session.watch.rows == pytest.approx(12)
    assert (report.rows_scored, report.rows_before, report.counts.scored) == (12, 0, 11)
    assert report.counts.set_aside == {"invalid_json": 1} and not report.already and report.shard is None
    assert done(session.folder, session.plan).counts == report.counts


def test_only_what_is_left_is_scored(session):
    session.score()
    session.folder.remove(["ledger/00000001.json"])
    session.watch.__init__()
    report = session.score()
    assert session.watch.started == (12, 8) and session.watch.chunks == [12]
    assert (report.rows_scored, report.rows_before) == (4, 8)


def test_a_shard_is_its_own_chunks(session):
    report = session.score(Shard(2, 3))
    assert done(session.folder, session.plan).chunks == {1}
    assert session.watch.started == (4, 0) and report.counts.rows == 4 and report.shard == Shard(2, 3)
    assert not report.already and session.score(Shard(2, 3)).already


def test_a_pool_file_that_changes_before_a_commit_stops_it(session):
    place = session.job.files[0].place
    with open(place, "ab") as stream:
        stream.write(b"\n")
    with pytest.raises(InputError, match=r"pool.jsonl: changed while it was read"):
        session.score()
    assert done(session.folder, session.plan).chunks == frozenset()

"""How far a run is."""

import os
import time
from itertools import accumulate

import pytest

from scar.errors import InputError
from scar.runs import RUN, Shard
from scar.runs.lock import Owner
from scar.serving.ledger import Counts
from scar.serving.status import status
from tests.serving.test_ledger import aside, committed, folder, plan_of  # noqa: F401  a fixture

NIGHT = 12 * 3600.0


def test_nothing_is_done_at_first(folder):  # noqa: F811
    now = status(folder)
    assert (now.chunks, now.chunks_done, now.rows, now.rows_left) == (2, 0, 2, 2)
    assert now.counts == Counts() and not now.finished and now.owners == ()
    assert now.rows_per_second is None and now.seconds_left is None


def test_what_is_done_is_counted_and_its_pace_told(folder):  # noqa: F811
    plan_of(5).write(folder)
    for index in range(4):
        committed(folder, index, [aside(index)], set_aside={"invalid_json": 1})
        os.utime(folder.path / f"ledger/{index:08d}.json", (1000 + 2 * index, 1000 + 2 * index))
    (folder.path / "ledger" / "notes.txt").touch()
    now = status(folder.path)
    assert now.chunks_done == 4 and now.counts.set_aside == {"invalid_json": 4} and now.rows_left == 1
    assert now.rows_per_second == pytest.approx(0.5) and now.seconds_left is None  # nobody works on it
    with folder.hold():
        now = status(folder)
        # None of it was done by whoever works on it now, who may be faster or slower.
        assert len(now.owners) == 1 and now.rows_per_second is None and now.seconds_left is None


@pytest.mark.parametrize("shard", [None, Shard(1, 2)])
def test_the_pace_is_that_of_whoever_works_on_it_however_often_it_was_stopped(folder, shard):  # noqa: F811
    plan_of(20).write(folder)
    with folder.hold(shard):
        began = time.time()
        for index in range(10):  # one a night, then five in ten seconds
            committed(folder, index)
            when = began + (2 * (index - 4) if index > 4 else (index - 5) * NIGHT)
            os.utime(folder.path / f"ledger/{index:08d}.json", (when, when))
        now = status(folder)
        assert now.rows_per_second == pytest.approx(0.5) and now.seconds_left == pytest.approx(20)
    assert status(folder).seconds_left is None


@pytest.mark.parametrize("since", ["?", "yesterday", 7, "0001-01-01T00:00:00-1200"])
def test_an_owner_who_does_not_say_since_when_hides_no_chunk(folder, since, monkeypatch):  # noqa: F811
    for index in range(2):
        committed(folder, index)
        os.utime(folder.path / f"ledger/{index:08d}.json", (1000 + 2 * index, 1000 + 2 * index))
    monkeypatch.setattr(Owner, "this", lambda shard: Owner(1, "there", since))
    with folder.hold():
        assert status(folder).rows_per_second == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("gaps", "rate"),
    [
        ([2, 2, NIGHT, 2, 2], 0.5),
        ([4, NIGHT, 2], 0.5),
        ([4, 4, NIGHT, 4, NIGHT, 2, 2], 0.5),
        ([2, 2, 2, NIGHT], None),  # the first one since
        ([2, 2, 50, 2], 4 / 56),  # a slow chunk
        ([900, 800, 700, 900], 4 / 3300),  # slow ones
        ([1, 1, 1, 700, 1, 1, 1, 700, 1, 1, 1, 700], 12 / 2109),  # four processes that began together
    ],
)
def test_the_pace_is_that_since_the_last_pause(folder, gaps, rate):  # noqa: F811
    plan_of(20).write(folder)
    for index, when in enumerate(accumulate(gaps, initial=1000)):
        committed(folder, index)
        os.utime(folder.path / f"ledger/{index:08d}.json", (when, when))
    assert status(folder).rows_per_second == (rate and pytest.approx(rate))


def test_a_damaged_entry_is_not_done(folder):  # noqa: F811
    committed(folder, 0)
    committed(folder, 1)
    path = folder.path / "ledger/00000001.json"
    path.write_bytes(path.read_bytes().replace(b'"rows": 1', b'"rows": 2'))
    assert status(folder).chunks_done == 1


def test_it_changes_nothing(folder):  # noqa: F811
    committed(folder, 0)
    (folder.path / RUN).write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    assert status(folder).finished
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(InputError, match=r"plan.json: missing; this folder is not a run"):
        status(tmp_path)

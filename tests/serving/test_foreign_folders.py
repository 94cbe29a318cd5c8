"""A folder of the user's is never taken for a run: nothing in it is written, replaced or removed."""

import json
import os

import pytest

from scar.errors import InputError
from scar.pools import find
from scar.runs import LEDGER, PLAN, RUN, SET_ASIDE, Disk, Plan
from scar.serving.job import Job
from scar.serving.plan import check_run, clear, settle
from scar.serving.run import score_pool
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl
from tests.serving.test_ledger import committed, files, plan_of


@pytest.fixture
def pool(tmp_path):
    return write_jsonl(tmp_path / "pool.jsonl", pool_rows(6))


@pytest.fixture
def job(pool, bundle):
    return Job.of(pool, bundle, None, Scoring(chunk_rows=4))


def state(folder):
    """Give every name below a folder, and what stands in it."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def refused(folder, pool, bundle, told):
    before = state(folder)
    with pytest.raises(InputError, match=told):
        score_pool(pool, bundle, folder, overwrite=True)
    assert state(folder) == before


@pytest.mark.parametrize("room", ["chunks", "set_aside", "ledger"])
@pytest.mark.parametrize("name", ["00000000.parquet", "00000000.jsonl", "00000000.json", "notes.txt"])
def test_a_folder_that_holds_a_room_with_files_of_the_user_s_is_no_run(tmp_path, pool, bundle, room, name):
    (tmp_path / "data" / room).mkdir(parents=True)
    (tmp_path / "data" / room / name).write_text('{"precious": 1}')
    refused(tmp_path / "data", pool, bundle, "not a run of `scar score`")


def test_a_link_in_a_room_is_a_file_of_the_user_s(tmp_path, pool, bundle):
    (tmp_path / "data" / "chunks").mkdir(parents=True)
    (tmp_path / "data" / "chunks" / "00000000.parquet").symlink_to(pool)
    refused(tmp_path / "data", pool, bundle, "not a run of `scar score`")


def test_a_room_that_is_a_link_is_not_followed(tmp_path, pool, bundle):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".00000000.parquet.tmp").write_text("precious")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "chunks").symlink_to(tmp_path / "other")
    refused(tmp_path / "data", pool, bundle, "chunks: a link")
    assert (tmp_path / "other" / ".00000000.parquet.tmp").read_text() == "precious"


@pytest.mark.parametrize(
    "text", ["{}", '{"format_version": "1.2", "planned_values": {}}', '{"format": "x"}', "[]", "shopping"]
)
def test_another_tool_s_plan_is_left_alone_with_all_that_stands_beside_it(tmp_path, pool, bundle, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / PLAN).write_text(text)
    (tmp_path / "data" / ".draft.tmp").write_text("precious")
    refused(tmp_path / "data", pool, bundle, "not the plan of a run of `scar score`")


def test_a_plan_of_ours_that_is_damaged_is_called_so_and_nothing_is_touched(tmp_path, pool, bundle, job):
    folder = Disk(tmp_path / "run")
    settle(folder, job, "resume")
    whole = (folder.path / PLAN).read_bytes()
    for harm in (whole[:40], whole[:-9], whole.replace(b"pool", b"loop", 1), b""):
        (folder.path / PLAN).write_bytes(harm)
        refused(folder.path, pool, bundle, "damaged .*remove it, and the same")


def test_temp_files_of_others_stay_in_a_run(tmp_path, job):
    folder = Disk(tmp_path / "run")
    settle(folder, job, "resume")
    ours = [".plan.json.tmp", "..inputs.json.tmp", "chunks/.00000001.parquet.0a1b2c3d.tmp"]
    theirs = [".draft.tmp", "chunks/.part-0.parquet.tmp"]
    for name in (*ours, *theirs):
        (folder.path / name).write_text("half")
    settle(folder, job, "resume")
    assert [name for name in (*ours, *theirs) if (folder.path / name).exists()] == theirs


def test_a_run_that_lost_its_plan_is_gone_on_with(tmp_path, pool, bundle):
    run = tmp_path / "run"
    scoring = Scoring(chunk_rows=4)
    score_pool(pool, bundle, run, scoring=scoring)
    before = {path: path.stat().st_mtime_ns for path in run.glob("chunks/*")}
    (run / PLAN).unlink()
    report = score_pool(pool, bundle, run, scoring=scoring)
    assert report.rows_before == 6 and (run / RUN).exists() and (run / SET_ASIDE).exists()
    assert {path: path.stat().st_mtime_ns for path in run.glob("chunks/*")} == before


def test_the_mark_of_a_finished_run_without_plan_and_chunks_goes_and_the_rooms_stay(tmp_path, job):
    folder = Disk(tmp_path / "run")
    folder.prepare()
    (folder.path / RUN).write_text("{}")
    settle(folder, job, "resume")
    assert not (folder.path / RUN).exists() and (folder.path / "chunks").is_dir()


def test_a_run_that_is_being_cleared_is_never_taken_for_a_pool(tmp_path, pool, monkeypatch):
    folder = Disk(tmp_path / "run")
    folder.prepare()
    plan_of().write(folder)
    committed(folder, 0)
    committed(folder, 1)
    seen, real = [], os.unlink

    def looked(path, *rest, **more):
        real(path, *rest, **more)
        seen.append([file.name for file in find(tmp_path)])

    monkeypatch.setattr("os.unlink", looked)
    clear(folder)
    assert len(seen) >= 7 and all(names == ["pool.jsonl"] for names in seen)
    assert list(folder.path.iterdir()) == []


def test_an_entry_that_is_no_object_of_ours_makes_no_run(tmp_path):
    folder = Disk(tmp_path / "run")
    folder.prepare()
    for text in ("[" * 99_999, json.dumps({"fingerprint": "x"}), ""):
        (folder.path / LEDGER / "00000000.json").write_text(text)
        with pytest.raises(InputError, match="not a run"):
            check_run(folder)


def test_a_plan_is_read_before_the_folder_is_made_ready(tmp_path, job):
    folder = Disk(tmp_path / "run")
    settle(folder, job, "resume")
    Plan.read(folder)
    (folder.path / "chunks").rmdir()
    plan_of().write(folder)
    with pytest.raises(InputError, match="its maker, a training, differs"):
        settle(folder, job, "resume")
    assert files(folder) == [".inputs.json", PLAN] and not (folder.path / "chunks").exists()

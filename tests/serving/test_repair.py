"""Repair a run: under the lock, by what is there then, wherever the pool and the ranker are by now."""

import json
import shutil
from dataclasses import asdict

import pytest

from scar.change import PENDING
from scar.cli import main
from scar.errors import InputError, RunError
from scar.runs import RUN, SET_ASIDE, Disk, Plan
from scar.runs.checked import checked, read_checked
from scar.serving import run as runs
from scar.serving import verify as verifying
from scar.serving.ledger import Counts, join_set_aside
from scar.serving.report import write_summary
from scar.serving.run import score_pool
from scar.serving.verify import repair, verify
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl
from tests.serving.test_ledger import committed, plan_of

SCORING = Scoring(chunk_rows=4)
CHUNK = "chunks/00000001.parquet"


@pytest.fixture
def pool(tmp_path):
    return write_jsonl(tmp_path / "pool.jsonl", pool_rows(10))


@pytest.fixture
def run(pool, bundle, tmp_path):
    score_pool(pool, bundle, tmp_path / "run", scoring=SCORING)
    return tmp_path / "run"


def contents(run):
    return {
        path.name: path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name not in (RUN, ".inputs.json")
    }


def harm(run, name=CHUNK):
    """Change a byte of a file; gives what it was."""
    old = (run / name).read_bytes()
    (run / name).write_bytes(old[:20] + bytes([old[20] ^ 1]) + old[21:])
    return old


def test_a_chunk_that_was_made_anew_meanwhile_is_not_taken_out(run):
    old, before = harm(run), contents(run)
    found = verify(run)
    (run / CHUNK).write_bytes(old)
    repair(found, run)
    assert (run / CHUNK).read_bytes() == old and contents(run) == before | {"00000001.parquet": old}
    assert verify(run).damaged == ()


def test_a_run_that_ended_since_it_was_checked_does_not_keep_its_mark_without_its_chunks(run):
    end = (run / RUN).read_bytes()
    (run / RUN).unlink()
    (run / SET_ASIDE).unlink()
    harm(run)
    found = verify(run)
    assert not found.finished and len(found.damaged) == 1
    (run / RUN).write_bytes(end)  # another process ended it before the lock was ours
    assert repair(found, run).rows_scored == 4
    assert verify(run).damaged == () and verify(run).good == 3


def test_another_run_in_the_folder_is_left_alone(run, pool, bundle):
    harm(run)
    found = verify(run)
    score_pool(pool, bundle, run, scoring=Scoring(chunk_rows=3), overwrite=True)
    before = contents(run)
    with pytest.raises(InputError, match="another run since it was checked"):
        repair(found, run)
    assert contents(run) == before


def test_a_repair_that_was_stopped_is_gone_on_with(run, monkeypatch, capsys):
    before = contents(run)
    harm(run)

    def stopped(*rest, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verifying, "score_pool", stopped)
        assert main(["verify", str(run)]) == 130
    assert not (run / RUN).exists() and not (run / CHUNK).exists()
    assert main(["verify", str(run), "--check"]) == 1
    assert "00000001.json is missing" in capsys.readouterr().out
    assert main(["verify", str(run)]) == 0
    assert contents(run) == before and (run / RUN).exists()


def test_a_pool_and_a_ranker_that_were_moved_are_named_where_they_are(run, pool, bundle, tmp_path, capsys):
    before = contents(run)
    (tmp_path / "new").mkdir()
    shutil.move(pool, tmp_path / "new" / "pool.jsonl")
    shutil.copytree(bundle, tmp_path / "new" / "ranker")
    harm(run)
    assert main(["verify", str(run)]) == 2
    told = capsys.readouterr().err
    assert "--pool and --ranker name the new place" in told and "--out" not in told
    assert main(["verify", str(run), "--pool", str(tmp_path / "new" / "pool.jsonl")]) == 0
    assert contents(run) == before
    harm(run)
    moved = ["--pool", str(tmp_path / "new" / "pool.jsonl"), "--ranker", str(tmp_path / "new" / "ranker")]
    assert main(["verify", str(run), *moved]) == 0
    assert contents(run) == before


def replanned(run, change):
    """Change what a plan says its scores depend on; the chunks keep the old fingerprint."""
    raw = read_checked((run / "plan.json").read_bytes())
    change(raw["fingerprint"])
    (run / "plan.json").write_bytes(checked(json.dumps(raw, indent=2)))


def test_a_version_that_is_another_is_told_with_the_one_to_install(run, capsys):
    replanned(run, lambda fingerprint: fingerprint["versions"].update(tokenizers="0.1"))
    before = contents(run)
    assert main(["verify", str(run)]) == 2
    told = capsys.readouterr().err
    assert "versions.tokenizers is not what it was. Install tokenizers==0.1, or score the pool" in told
    assert "--out" not in told and "--overwrite" not in told and contents(run) == before


@pytest.mark.parametrize("aside, workers", [({"crashed": 1}, 1), ({"invalid_json": 1}, 0), (None, 1)])
def test_a_record_that_crashes_a_worker_crashes_no_repair(run, monkeypatch, aside, workers):
    raw = json.loads((run / RUN).read_bytes())
    del raw["checksum"]
    write_summary(Disk(run), raw | {"set_aside": aside or {}})
    if aside is None:
        (run / RUN).write_text("{")
    harm(run)
    asked, real = [], runs.score_pool

    def noted(*rest, **more):
        asked.append(more["scoring"].workers)
        return real(*rest, **more | {"scoring": SCORING})

    monkeypatch.setattr(verifying, "score_pool", noted)
    repair(verify(run), run)
    assert asked == [workers] and verify(run).damaged == ()


@pytest.fixture
def trained(tmp_path):
    """A run as a training writes it: counts, and other facts than a scoring's."""
    folder = Disk(tmp_path / "trained")
    folder.prepare()
    plan = plan_of()
    plan.write(folder)
    for index in range(2):
        committed(folder, index, scored=1)
    join_set_aside(folder, plan)
    write_summary(folder, {**asdict(Counts(2, 2, 2)), "seconds": 1.0, "out_of_fold": True})
    return folder.path


def test_a_training_s_run_is_whole_by_its_counts_alone(trained, capsys):
    assert main(["verify", str(trained)]) == 0
    assert "2 chunks are as the ledger says, 0 damaged" in capsys.readouterr().out


@pytest.mark.parametrize("name", [RUN, CHUNK])
def test_what_a_training_wrote_is_never_written_anew(trained, name):
    (trained / name).write_bytes(b"damaged")
    before = contents(trained) | {RUN: (trained / RUN).read_bytes()}
    found = verify(trained)
    assert len(found.damaged) == 1
    with pytest.raises(RunError, match="those of a training"):
        repair(found, trained)
    assert contents(trained) | {RUN: (trained / RUN).read_bytes()} == before
    assert Plan.read(Disk(trained)).bundles == ()


def test_a_training_s_set_aside_rows_are_joined_again_and_its_end_stays(trained):
    end = (trained / RUN).read_bytes()
    (trained / SET_ASIDE).write_bytes(b"damaged")
    repair(verify(trained), trained)
    assert verify(trained).damaged == () and (trained / RUN).read_bytes() == end


def test_files_among_the_chunks_that_the_plan_does_not_list_are_named(run, capsys):
    shutil.copy(run / CHUNK, run / "chunks" / "copy.parquet")
    for name in (".00000001.parquet.tmp", "_SUCCESS"):  # no reader of data sets takes these
        (run / "chunks" / name).touch()
    assert verify(run).strays == ("chunks/copy.parquet",) and verify(run).damaged == ()
    assert main(["verify", str(run), "--check"]) == 0
    assert "note: chunks/copy.parquet is not of this run" in capsys.readouterr().out


def test_a_bundle_s_pending_change_is_told_and_left_by_a_check(bundle, tmp_path, capsys):
    own = shutil.copytree(bundle, tmp_path / "own")
    (own / PENDING).mkdir()
    for name in ("evaluation.json", "manifest.json"):
        shutil.copy(own / name, own / PENDING / name)
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert main(["verify", str(own), "--check"]) == 1
    assert "a change of it was cut short; without --check it is ended" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before
    assert main(["verify", str(own)]) == 0 and not (own / PENDING).exists()
    assert main(["verify", str(own), "--check"]) == 0


def test_a_run_that_is_not_finished_is_told_how_it_goes_on(run, capsys):
    for name in (RUN, SET_ASIDE, CHUNK, "set_aside/00000001.jsonl", "ledger/00000001.json"):
        (run / name).unlink()
    assert main(["verify", str(run)]) == 0
    told = capsys.readouterr().out
    assert "1 not done yet, 0 damaged" in told and "the same scar score goes on" in told

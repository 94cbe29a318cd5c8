"""Disks that are full, read-only, broken or gone: one line names the file, nothing is half written, and it goes on."""

import json
import os
import resource
import shutil
import signal

import pytest

from scar.bundle import GATES, RANKER, Bundle, changing, new_bundle
from scar.files import write_json
from tests.faults.disks import small_disk
from tests.faults.pools import Gate, Job, assert_invariant, contents, entries, is_temp, wait_for
from tests.faults.test_signals import left_over

PAGE = 4096
SIZES = [*range(PAGE, 60 * PAGE, 7 * PAGE)]
MORE = [size for size in range(PAGE, 60 * PAGE, PAGE) if size not in SIZES]


@pytest.fixture(scope="module")
def job(embedding_job):
    """One whose chunks have all the files that a chunk can have."""
    return embedding_job


@pytest.fixture(scope="module")
def reference(embedding_reference):
    """That run, undisturbed."""
    return embedding_reference


def full(done, folder):
    """The line that a full disk gives."""
    *before, last = done.err.splitlines()
    assert done.code == 1 and all(line.startswith("going on") for line in before), done
    assert last.startswith("scar: error: ") and "No space left on device" in last and str(folder) in last


def assert_full_disk_loses_nothing(job, reference, tmp_path, size):
    with small_disk(tmp_path / "disk", size) as disk:
        run = disk.path / "run"
        done = job.run(run)
        if done.code == 0:
            return assert_invariant(job, run, reference)
        full(done, disk.path)
        assert not run.exists() or left_over(run) == []
        whole = contents(reference)
        assert all(content == whole[name] for name, content in contents(run).items())
        full(job.run(run), disk.path)  # and again, as a cluster would try
        disk.remount("size=8m")
        assert job.run(run).code == 0
        assert_invariant(job, run, reference)


@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_loses_nothing(job, reference, tmp_path, size):
    assert_full_disk_loses_nothing(job, reference, tmp_path, size)


@pytest.mark.slow
@pytest.mark.parametrize("size", MORE)
def test_a_disk_that_is_full_at_any_step_loses_nothing(job, reference, tmp_path, size):
    assert_full_disk_loses_nothing(job, reference, tmp_path, size)


def test_the_sizes_reach_from_the_plan_to_the_last_file(job, reference, tmp_path):
    """Else the tests above would fill the disk at one step only."""
    ends = set()
    for size in (SIZES[0], SIZES[2], SIZES[4], SIZES[-1]):
        with small_disk(tmp_path / "disk", size) as disk:
            job.run(disk.path / "run")
            run = disk.path / "run"
            ends.add((run / "plan.json").exists() + min(1, entries(run)) + (run / "run.json").exists())
    assert {0, 2, 3} <= ends


@pytest.mark.parametrize("size", [PAGE, 2 * PAGE])
@pytest.mark.parametrize("name", ["kept.jsonl", "kept.jsonl.gz", "kept.parquet"])
def test_a_selection_onto_a_full_disk_leaves_nothing_and_is_made_again(
    long_job, tables, tmp_path, name, size
):
    words = ("select", tables, "--top", 290)
    assert long_job.parent.run(*words, "--out", tmp_path / name).code == 0
    with small_disk(tmp_path / "disk", size) as disk:
        out = disk.path / name
        for more in ((), ("--sort",)):
            full(long_job.parent.run(*words, "--out", out, *more), disk.path)
            assert list(disk.path.iterdir()) == []
        disk.remount("size=8m")
        assert long_job.parent.run(*words, "--out", out).code == 0
        assert out.read_bytes() == (tmp_path / name).read_bytes()


@pytest.fixture(scope="session")
def tables(long_job, tmp_path_factory):
    """The run of a pool of one type."""
    run = tmp_path_factory.mktemp("tables") / "run"
    assert Job(long_job.parent, long_job.pool / "c.parquet", long_job.bundle, 100).run(run).code == 0
    return run


def test_a_bundle_onto_a_full_disk_is_the_old_one_or_none(bundle, tmp_path):
    size = sum(path.stat().st_size for path in bundle.iterdir())
    for part in range(1, 10):
        with small_disk(tmp_path / "disk", size * part // 6 // PAGE * PAGE) as disk:
            try:
                with new_bundle(disk.path / "new", overwrite=False) as folder:
                    for path in bundle.iterdir():
                        shutil.copyfile(path, folder / path.name)
            except OSError as error:
                assert error.errno == 28
                assert list(disk.path.iterdir()) == []
            else:
                Bundle.open(disk.path / "new")


def test_a_change_of_a_bundle_on_a_full_disk_leaves_the_old_one(bundle, tmp_path):
    size = sum(path.stat().st_size // PAGE * PAGE + PAGE for path in bundle.iterdir())
    for spare in range(10):
        with small_disk(tmp_path / "disk", size + (spare + 1) * PAGE) as disk:
            own = disk.path / "own"
            shutil.copytree(bundle, own)
            before = {path.name: path.read_bytes() for path in own.iterdir()}
            try:
                with changing(Bundle.open(own)) as change:
                    change.removed.add(GATES)
                    write_json(change.folder / RANKER, {**Bundle.open(own).ranker, "note": "x" * PAGE * 2})
            except OSError as error:
                assert error.errno == 28
                assert {path.name: path.read_bytes() for path in own.iterdir()} == before
            else:
                assert Bundle.open(own).ranker["note"] and not Bundle.open(own).has(GATES)


def test_a_read_only_disk_is_told(job, reference, tmp_path):
    with small_disk(tmp_path / "disk", 1 << 23) as disk:
        run = disk.path / "run"
        shutil.copytree(reference, run)
        for name in ("run.json", "set_aside.jsonl", "ledger/00000004.json"):
            (run / name).unlink()
        shutil.copytree(reference, disk.path / "whole")
        disk.remount("ro")
        whole = job.run(disk.path / "whole")
        assert whole.code == 0 and "is finished already" in whole.out, whole
        assert job.parent.run("gather", disk.path / "whole").code == 0
        done = job.run(run)
        assert done.code == 2 and "Read-only file system" in done.err and str(run) in done.err
        assert job.parent.run("status", run).code == 0 and job.parent.run("verify", run, "--check").code == 0
        new = job.run(disk.path / "new")
        assert new.code == 2 and "Read-only file system" in new.err
        disk.remount("rw")
        assert job.run(run).code == 0
        assert_invariant(job, run, reference)


def nobody():
    """Be a user who may write nothing of root's."""
    os.setgid(65534)
    os.setuid(65534)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_without_permission_is_told(job, reference, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    (run / "run.json").unlink()
    before = contents(run)
    done = job.run(run, before="tests.faults.test_disks:nobody")
    assert done.code == 2 and "Permission denied" in done.err and "Traceback" not in done.err
    assert contents(run) == before


def small_files(size):
    """Let no file grow beyond a size, as quotas and `ulimit -f` do."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [300, 1000, 2000])
def test_a_file_that_may_not_grow_is_told(job, reference, tmp_path, size):
    run = tmp_path / "run"
    done = job.run(run, before="tests.faults.test_disks:small_files", given={"size": size})
    assert done.code == 1 and "File too large" in done.err and str(run) in done.err, done
    assert left_over(run) == []
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


def test_a_run_folder_that_is_deleted_under_its_process_is_told(job, reference, tmp_path):
    run, gate = tmp_path / "run", Gate(tmp_path / "gate")
    process = job.start(run, **gate.how)
    wait_for(lambda: entries(run) >= 2)
    shutil.rmtree(run)
    gate.open()
    done = process.wait()
    assert (
        done.code == 2 and str(run) in done.err and "No such file" in done.err and "Traceback" not in done.err
    )
    assert not run.exists()
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


def fail_writes(number, nth):
    """Let the nth fsync fail, as a dying disk does."""
    import scar.files

    real, count = os.fsync, 0

    def fsync(handle):
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(number, os.strerror(number))
        real(handle)

    scar.files.os.fsync = fsync


@pytest.mark.parametrize("nth", [2, 5, 9, 30, 70])
@pytest.mark.parametrize("number", [5, 122], ids=["EIO", "EDQUOT"])
def test_a_disk_that_dies_or_a_quota_is_told_with_the_file(job, reference, tmp_path, number, nth):
    run = tmp_path / "run"
    done = job.run(run, before="tests.faults.test_disks:fail_writes", given={"number": number, "nth": nth})
    assert done.code == 1 and os.strerror(number) in done.err and str(run) in done.err, done
    assert not any(is_temp(path.name) for path in run.rglob("*"))
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


def test_a_full_disk_is_one_json_line_for_machines(job, tmp_path):
    with small_disk(tmp_path / "disk", 20 * PAGE) as disk:
        done = job.run(disk.path / "run", "--log-json")
        lines = [json.loads(line) for line in done.err.splitlines()]
        assert done.code == 1 and lines[-1]["exit"] == 1 and "No space left" in lines[-1]["message"]
    assert signal.SIGKILL != done.code

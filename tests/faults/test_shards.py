"""Shards: any order, any time, killed and run again; the output is that of one process."""

import itertools
import json
import signal

import pytest

from scar.runs import RUN
from tests.faults.pools import Gate, assert_invariant, contents, entries, wait_for


@pytest.fixture
def run(job, tmp_path):
    """A plan."""
    done = job.run(tmp_path / "run", command="plan")
    assert done.code == 0 and "50 rows of 3 files in 10 chunks" in done.out
    return tmp_path / "run"


def gathered(job, run):
    done = job.parent.run("gather", run)
    assert done.code == 0 and "read 50 rows" in done.out, done
    return done


@pytest.mark.parametrize("order", itertools.permutations((1, 2, 3)))
def test_shards_in_any_order_are_one_run(job, reference, run, order):
    for number in order:
        assert job.run(run, "--shard", f"{number}/3").code == 0
    assert not (run / RUN).exists()
    gathered(job, run)
    assert_invariant(job, run, reference)


def test_shards_at_the_same_time_are_one_run(job, reference, run):
    shards = [job.start(run, "--shard", f"{number}/4") for number in range(1, 5)]
    assert [shard.wait().code for shard in shards] == [0] * 4, [shard.err for shard in shards]
    gathered(job, run)
    assert_invariant(job, run, reference)


def test_more_shards_than_chunks_leave_some_idle(job, reference, run):
    shards = [job.run(run, "--shard", f"{number}/13") for number in range(1, 14)]
    assert {shard.code for shard in shards} == {0}
    gathered(job, run)
    assert_invariant(job, run, reference)


def test_what_nobody_measured_is_not_said_to_be_nought(job, run):
    for number in (1, 2):
        assert job.run(run, "--shard", f"{number}/2").code == 0
    once, again = gathered(job, run), job.run(run)
    for done in (once, again):
        assert done.code == 0 and "rows/s" not in done.out and "padding" not in done.out
    said = json.loads((run / RUN).read_bytes())
    assert [said[name] for name in ("seconds", "rows_per_second", "padding")] == [None] * 3
    assert (said["rows"], said["rows_scored"], said["rows_before"]) == (50, 0, 50)


def test_gather_names_what_is_missing(job, reference, run):
    for number in (1, 3):
        assert job.run(run, "--shard", f"{number}/3").code == 0
    done = job.parent.run("gather", run)
    assert done.code == 2 and "3 of 10 chunks are not done (3, 4, 5)" in done.err
    status = job.parent.run("status", run).out
    assert "7 of 10 chunks, 35 of 50 rows; 3 chunks left" in status and "nobody works on it" in status
    # The whole finishes what shards left.
    assert "going on: 7 of 10" in job.run(run).err
    assert_invariant(job, run, reference)


def test_a_killed_shard_is_run_again(job, reference, run, tmp_path):
    gate = Gate(tmp_path / "gate", chunks=1)
    shard = job.start(run, "--shard", "2/2", **gate.how)
    wait_for(lambda: entries(run) >= 1)
    status = job.parent.run("status", run).out
    assert f"being written by pid {shard.pid}" in status and "shard 2/2" in status
    shard.send(signal.SIGKILL)
    shard.wait()
    again = job.run(run, "--shard", "2/2")
    assert (
        again.code == 0
        and f"its last owner, pid {shard.pid}" in again.err
        and "going on: 1 of 5" in again.err
    )
    before = contents(run)
    assert "is finished already" in job.run(run, "--shard", "2/2").out and contents(run) == before
    assert job.run(run, "--shard", "1/2").code == 0
    gathered(job, run)
    assert_invariant(job, run, reference)


def test_a_shard_needs_the_plan_of_this_very_run(job, run, tmp_path):
    assert "no plan there" in job.run(tmp_path / "other", "--shard", "1/2").err
    done = job.run(run, "--shard", "1/2", "--chunk-rows", 4)
    assert done.code == 2 and "scoring.chunk_rows differs" in done.err
    assert job.run(run, "--shard", "3/2").code == 2


def test_a_kill_while_it_is_gathered_is_gathered_again(job, reference, run):
    for number in (1, 2):
        assert job.run(run, "--shard", f"{number}/2").code == 0
    for nth in (1, 2):
        how = {
            "before": "tests.faults.kills:kill_at",
            "given": {"steps": ["scar.files:os.replace"], "nth": nth},
        }
        assert job.parent.run("gather", run, **how).code == -signal.SIGKILL
    gathered(job, run)
    assert "finished already" in job.parent.run("gather", run).out
    assert_invariant(job, run, reference)


def test_pool_files_that_were_touched_do_not_set_shards_against_one_another(job, reference, run, tmp_path):
    """Each would note that it has looked at them: one file, several writers."""
    for path in job.pool.iterdir():
        path.touch()
    shards = [job.start(run, "--shard", f"{number}/4") for number in range(1, 5)]
    assert [shard.wait().code for shard in shards] == [0] * 4, [shard.err for shard in shards]
    gathered(job, run)
    assert_invariant(job, run, reference)

"""Locks between real processes: one owner at a time, and who comes second is told who it is."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from scar.runs import LOCK, PLAN
from tests.faults.pools import Gate, assert_invariant, contents, entries, wait_for
from tests.faults.processes import ROOT


def test_a_second_process_is_refused_and_the_first_is_not_disturbed(job, reference, tmp_path):
    run, gate = tmp_path / "run", Gate(tmp_path / "gate")
    first = job.start(run, **gate.how)
    wait_for(lambda: entries(run) >= 2)
    for more in ((), ("--overwrite",), ("--chunk-rows", 3)):
        second = job.run(run, *more)
        assert (
            second.code == 2
            and f"{run} is being written by pid {first.pid} on {os.uname().nodename}" in second.err
        )
    for command in ("verify", "status"):
        job.parent.run(command, run)
    assert "being written by pid" in job.parent.run("status", run).out
    assert job.parent.run("gather", run).code == 2
    gate.open()
    assert first.wait().code == 0
    assert_invariant(job, run, reference)
    assert not (run / LOCK).exists()


def test_two_that_start_together_leave_one_owner(job, reference, tmp_path):
    run = tmp_path / "run"
    gate = Gate(tmp_path / "gate")
    both = [job.start(run, **gate.how) for _ in range(2)]
    wait_for(lambda: any(process.poll() is not None for process in both))
    gate.open()
    ends = sorted(process.wait().code for process in both)
    assert ends == [0, 2]
    assert_invariant(job, run, reference)


def test_a_dead_owner_s_lock_is_taken_over_with_a_word(job, reference, tmp_path):
    run = tmp_path / "run"
    first = job.start(run, **Gate(tmp_path / "gate").how)
    wait_for(lambda: entries(run) >= 2)
    first.send(signal.SIGKILL)
    first.wait()
    assert json.loads((run / LOCK).read_text())["pid"] == first.pid
    assert "nobody works on it" in job.parent.run("status", run).out
    done = job.run(run)
    assert done.code == 0 and f"its last owner, pid {first.pid} on" in done.err
    assert_invariant(job, run, reference)


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b"\xff\x00", b"[" * 4096, b'{"pid": 1}', b'"x"', b"{}" * 9999]
)
def test_rubbish_in_a_lock_is_no_owner(job, tmp_path, rubbish):
    run = tmp_path / "run"
    run.mkdir()
    (run / LOCK).write_bytes(rubbish)
    done = job.run(run)
    assert done.code == 0 and done.err == ""
    assert not (run / LOCK).exists()


def planned(job, run):
    assert job.run(run, command="plan").code == 0
    assert (run / PLAN).exists()


def shard(job, run, which, **how):
    return job.start(run, "--shard", which, **how)


def test_shards_stand_beside_one_another_and_nobody_else(job, reference, tmp_path):
    run, gate = tmp_path / "run", Gate(tmp_path / "gate")
    planned(job, run)
    first, beside = (shard(job, run, which, **gate.how) for which in ("1/3", "3/3"))
    wait_for(lambda: entries(run) >= 4)
    assert (same := shard(job, run, "1/3").wait()).code == 2
    assert f"pid {first.pid}" in same.err and "shard 1/3" in same.err
    assert (other := shard(job, run, "2/4").wait()).code == 2 and "shard" in other.err and "/3" in other.err
    assert (whole := job.run(run)).code == 2 and "shard" in whole.err
    assert job.parent.run("gather", run).code == 2
    gate.open()
    assert first.wait().code == 0 and beside.wait().code == 0
    assert shard(job, run, "2/3").wait().code == 0
    assert [path.name for path in run.iterdir() if path.name.startswith(LOCK)] == []
    assert job.parent.run("gather", run).code == 0
    assert_invariant(job, run, reference)


def test_a_whole_run_keeps_shards_out(job, reference, tmp_path):
    run, gate = tmp_path / "run", Gate(tmp_path / "gate")
    planned(job, run)
    whole = job.start(run, **gate.how)
    wait_for(lambda: entries(run) >= 2)
    refused = shard(job, run, "2/2").wait()
    assert refused.code == 2 and f"pid {whole.pid}" in refused.err
    gate.open()
    assert whole.wait().code == 0
    assert_invariant(job, run, reference)


def test_shards_that_died_are_forgotten_by_whoever_takes_the_whole(job, reference, tmp_path):
    run = tmp_path / "run"
    planned(job, run)
    dying = shard(job, run, "1/2", **Gate(tmp_path / "gate").how)
    wait_for(lambda: entries(run) >= 2)
    dying.send(signal.SIGKILL)
    dying.wait()
    assert (run / f"{LOCK}.1-2").exists()
    # Nor does it keep out shards of another cut.
    assert shard(job, run, "5/5").wait().code == 0
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


HOLDER = """
import os, sys, time
from pathlib import Path
from scar.errors import InputError
from scar.runs import Disk, Shard
run, witness, shard = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
own = Shard.parse(shard) if shard else None
got = refused = 0
while got < 50:
    try:
        with Disk(run).hold(own):
            handle = os.open(witness, os.O_CREAT | os.O_EXCL)  # fails where another owner lives
            os.close(handle)
            time.sleep(0.0005)
            os.unlink(witness)
            got += 1
    except InputError:
        refused += 1
print(got, refused)
"""


@pytest.mark.parametrize("shard", ["", "1/2"])
def test_many_takers_never_make_two_owners(tmp_path, shard):
    run, witness = tmp_path / "run", tmp_path / "witness"
    run.mkdir()
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, run, witness, shard],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    probe = until = time.monotonic() + 60
    while any(taker.poll() is None for taker in takers) and time.monotonic() < until:
        from scar.runs.lock import owners

        owners(run)  # as `scar status` does, at the wrong moments
        time.sleep(0.001)
    ends = [taker.communicate(timeout=10) for taker in takers]
    assert [out.split()[0] for out, _ in ends] == [b"50"] * 4, ends
    assert b"" == b"".join(err for _, err in ends), ends  # nobody was taken for dead
    assert not witness.exists() and probe
    assert list(run.iterdir()) == []


def test_two_selections_into_one_file_leave_one_whole_file(job, reference, tmp_path):
    out = tmp_path / "kept.jsonl"
    words = ("select", reference, "--ratio", "0.5", "--out", out)
    first = job.parent.start(
        *words,
        before="tests.faults.test_signals:slow",
        given={"step": "scar.selection.writing:write_lines", "seconds": 1},
    )
    wait_for(lambda: (tmp_path / ".kept.jsonl.tmp").exists())
    second = job.parent.run(*words)
    assert second.code == 2 and "is being written by another process" in second.err
    assert first.wait().code == 0
    assert {name.partition("/")[0] for name in contents(tmp_path)} == {"kept.jsonl", "kept.jsonl.why"}
    assert job.parent.run(*words).code == 2  # it exists
    alone = tmp_path / "alone.jsonl"
    assert job.parent.run("select", reference, "--ratio", "0.5", "--out", alone).code == 0
    assert alone.read_bytes() == out.read_bytes()

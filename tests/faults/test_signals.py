"""SIGTERM, Ctrl-C and Slurm's SIGUSR1: a clean stop within seconds, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.pools import assert_invariant, entries, is_temp, wait_for
from tests.faults.processes import ROOT

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 138}
SLOW = {"before": "tests.faults.test_signals:slow"}


def slow(step="scar.serving.session:commit", seconds=0.1):
    """Make a step take its time, so that a signal finds the process in it."""
    import importlib

    module, _, name = step.partition(":")
    holder = importlib.import_module(module)
    real = getattr(holder, name)

    def slowly(*arguments, **named):
        time.sleep(seconds)
        return real(*arguments, **named)

    setattr(holder, name, slowly)


def left_over(run):
    """Give what only a process that was killed leaves."""
    return [path.name for path in run.rglob("*") if is_temp(path.name) or path.name.startswith(".lock")]


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_in_the_middle_ends_cleanly_and_the_run_goes_on(job, reference, tmp_path, number):
    run = tmp_path / "run"
    process = job.start(run, **SLOW)
    wait_for(lambda: entries(run) >= 3)
    asked = time.monotonic()
    process.send(number)
    done = process.wait(10)
    assert time.monotonic() - asked < 10
    assert done.code == CODES[number]
    assert done.err == f"scar: error: stopped by {number.name}; the same command goes on\n"
    assert left_over(run) == []
    had = entries(run)
    assert 3 <= had < 10
    again = job.run(run)
    assert again.code == 0 and again.err == f"going on: {had} of 10 chunks are done\n"
    assert_invariant(job, run, reference)


STEPS = {
    "loading": "scar.serving.job:open_bundles",
    "planning": "scar.serving.job:cut",
    "joining at the end": "scar.serving.run:join_set_aside",
    "run.json": "scar.serving.run:write_summary",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_signal_at_any_step_ends_cleanly(job, reference, tmp_path, step):
    run, mark = tmp_path / "run", tmp_path / "mark"
    process = job.start(
        run, before="tests.faults.test_signals:announce", given={"step": STEPS[step], "mark": str(mark)}
    )
    wait_for(mark.exists)
    process.send(signal.SIGTERM)
    done = process.wait(10)
    assert done.code == 143 and "the same command goes on" in done.err and "Traceback" not in done.err
    assert not run.exists() or left_over(run) == []
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


def announce(step, mark, seconds=30):
    """Tell by a file that a step has begun, and stay in it."""
    import importlib
    from pathlib import Path

    module, _, name = step.partition(":")

    def stay(*_, **__):
        Path(mark).touch()
        time.sleep(seconds)

    setattr(importlib.import_module(module), name, stay)


def deaf(mark):
    """Stay in a library's call that no exception gets through, as one that waits for a lock in C does."""
    import importlib
    import threading
    from pathlib import Path

    def stay(*_, **__):
        while True:
            try:
                Path(mark).touch()
                threading.Event().wait(60)
            except KeyboardInterrupt:
                pass

    importlib.import_module("scar.serving.session").commit = stay


def test_a_second_signal_ends_at_once(job, reference, tmp_path):
    run, mark = tmp_path / "run", tmp_path / "mark"
    process = job.start(run, before="tests.faults.test_signals:deaf", given={"mark": str(mark)})
    wait_for(mark.exists)
    process.send(signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None
    asked = time.monotonic()
    process.send(signal.SIGINT)
    assert process.wait(5).code == 130
    assert time.monotonic() - asked < 1
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


@pytest.mark.slow
def test_a_process_that_does_not_listen_is_ended_all_the_same(job, tmp_path):
    run, mark = tmp_path / "run", tmp_path / "mark"
    process = job.start(run, before="tests.faults.test_signals:deaf", given={"mark": str(mark)})
    wait_for(mark.exists)
    asked = time.monotonic()
    process.send(signal.SIGTERM)
    done = process.wait(12)
    assert done.code == 143 and 5 < time.monotonic() - asked < 10
    assert "stopped by SIGTERM; the same command goes on" in done.err


def test_a_signal_that_comes_twice_at_once_is_one(job, tmp_path):
    """`timeout` tells the process and then its whole group; terminals and job managers do the like."""
    run = tmp_path / "run"
    process = job.start(run, **SLOW)
    wait_for(lambda: entries(run) >= 2)
    for _ in range(3):
        process.send(signal.SIGTERM)
        time.sleep(0.01)
    done = process.wait(10)
    # While Python takes itself down, what is left of the signal ends it as the system does: shells call both 143.
    assert done.code in (143, -signal.SIGTERM)
    assert done.err == "scar: error: stopped by SIGTERM; the same command goes on\n" and left_over(run) == []


def words(job, run, *more):
    return [sys.executable, "-m", "scar", *map(str, job.words(run, *more))]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_what_nohup_made_deaf_stays_deaf(job, reference, tmp_path):
    run = tmp_path / "run"
    deaf_to = (signal.SIGINT, signal.SIGHUP)

    def ignore():
        for number in deaf_to:
            signal.signal(number, signal.SIG_IGN)

    process = subprocess.Popen(words(job, run), env=environment(), preexec_fn=ignore, stderr=subprocess.PIPE)
    wait_for(lambda: entries(run) >= 1)
    for number in deaf_to:
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert_invariant(job, run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--workers", 2, "--threads", 0)])
def test_timeout_s_signal_to_the_whole_group_ends_all_of_it(long_job, long_reference, tmp_path, more):
    run = tmp_path / "run"
    process = subprocess.Popen(
        words(long_job, run, *more), env=environment(), start_new_session=True, stderr=subprocess.PIPE
    )
    wait_for(lambda: entries(run) >= 3, 60)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 143 and b"the same command goes on" in err and b"Traceback" not in err
    wait_for(lambda: not _group(process.pid))
    assert left_over(run) == []
    assert long_job.run(run, *more).code == 0
    assert_invariant(long_job, run, long_reference)


def _group(number):
    """Count the processes of a group."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_signal_in_the_first_second_ends_without_a_traceback(job, reference, tmp_path):
    run = tmp_path / "run"
    for wait in (0.25, 0.4, 0.6, 0.8):
        process = subprocess.Popen(words(job, run), env=environment(), stderr=subprocess.PIPE)
        time.sleep(wait)
        process.terminate()
        _, err = process.communicate(timeout=10)
        # Before Python is up, the signal ends it as the system does.
        assert process.returncode in (143, -signal.SIGTERM, 0) and b"Traceback" not in err, err
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)


def mistaken(mark):
    """Turn a stop into an error of another name, as the import of a compiled module does."""
    from scar.errors import InputError
    from scar.serving import session

    def commit(*_, **__):
        try:
            announce_and_stay(mark)
        except KeyboardInterrupt:
            raise InputError("no runtime is installed") from None

    session.commit = commit


def announce_and_stay(mark):
    from pathlib import Path

    Path(mark).touch()
    time.sleep(30)


def test_a_stop_that_a_library_calls_an_error_is_a_stop(job, tmp_path):
    mark = tmp_path / "mark"
    process = job.start(
        tmp_path / "run", before="tests.faults.test_signals:mistaken", given={"mark": str(mark)}
    )
    wait_for(mark.exists)
    time.sleep(0.05)
    process.send(signal.SIGTERM)
    done = process.wait(10)
    assert (done.code, done.err) == (143, "scar: error: stopped by SIGTERM; the same command goes on\n")


def test_machines_are_told_too(job, tmp_path):
    run = tmp_path / "run"
    process = job.start(run, "--log-json", **SLOW)
    wait_for(lambda: entries(run) >= 2)
    process.send(signal.SIGUSR1)
    last = process.wait(10).err.splitlines()[-1]
    assert json.loads(last) == {
        "level": "error",
        "message": "stopped by SIGUSR1; the same command goes on",
        "exit": 138,
    }

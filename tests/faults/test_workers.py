"""Workers that die, hang or lie: the run goes on without what killed them, and loses nothing else."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar.serving.run import score_pool
from scar.settings import Scoring
from tests.faults.drive import FATAL, drive, end, group, score, start
from tests.make import pool_rows, read_jsonl, write_jsonl

SEGFAULT = "os.kill(os.getpid(), signal.SIGSEGV)"
ONE = ("--workers", 1, "--chunk_rows", 16)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """70 rows in 5 chunks; a patch can make row 37 kill."""
    rows = pool_rows(70)
    rows[37]["response"] += " poison"
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", rows)


@pytest.fixture(scope="module")
def clean(pool, bundle, tmp_path_factory):
    """The sidecar of an undisturbed run."""
    run = tmp_path_factory.mktemp("clean") / "run"
    score_pool(pool, bundle, run, scoring=Scoring(chunk_rows=16))
    return pq.read_table(run / "chunks").to_pydict()


def near(run, clean, without=()):
    """Compare a run's scores with those of the clean run."""
    found = pq.read_table(run / "chunks").to_pydict()
    assert found["row"] == clean["row"] == list(range(70))
    kept = [row for row in range(70) if row not in without]
    assert [row for row in range(70) if found["style"][row] is None] == sorted(without)
    np.testing.assert_allclose(
        [found["style"][row] for row in kept], [clean["style"][row] for row in kept], atol=1e-5
    )
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "how"),
    [
        (SEGFAULT, "signal SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
        ("os._exit(9)", "exit code 9"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    ],
)
def test_a_row_that_kills_its_worker_is_set_aside_alone(deed, how, pool, bundle, clean, tmp_path):
    done = drive(
        tmp_path,
        *score(pool, bundle, tmp_path / "run", *ONE, "--embeddings"),
        patch=FATAL.format(word="poison", deed=deed),
    )
    assert done.returncode == 0, done.err
    found = near(tmp_path / "run", clean, {37})
    vectors = np.concatenate([np.load(path) for path in sorted((tmp_path / "run" / "embeddings").iterdir())])
    assert len(vectors) == 70 and np.flatnonzero(np.isnan(vectors).any(axis=1)).tolist() == [37]
    assert found["reason"][37] == "crashed"
    (told,) = read_jsonl(tmp_path / "run" / "set_aside.jsonl")
    assert (told["row"], told["reason"]) == (37, "crashed")
    assert told["detail"] == f"the process that scored it ended: {how}, twice, alone"
    assert "1 crashed" in done.out and f"a worker died ({how})" in done.err


@pytest.mark.slow
def test_a_worker_that_dies_once_costs_nothing(pool, bundle, clean, tmp_path):
    once = 'mark = HERE / "died"\n            if not mark.exists(): mark.touch(); os._exit(1)'
    patch = FATAL.format(word="poison", deed=once)
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch=patch)
    assert done.returncode == 0 and (tmp_path / "died").exists()
    assert near(tmp_path / "run", clean)["reason"] == [None] * 70


LATE = """
from scar.cli import progress
from scar.serving.workers import worker
budgets, told = worker.budgets, []

def late(scorers):
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os._exit(1)
    return budgets(scorers)

def batch(self, rows, tokens, padded):
    told.append((rows, tokens))
    (HERE / "told").write_text(f"{len(told)} {sum(r for r, _ in told)} {sum(t for _, t in told)}")

worker.budgets = late
progress.Bar.batch = batch
"""


@pytest.mark.slow
def test_what_a_worker_told_before_it_died_is_taken_back(pool, bundle, tmp_path):
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch=LATE)
    assert done.returncode == 0 and (tmp_path / "died").exists(), done.err
    _, rows, tokens = (tmp_path / "told").read_text().split()
    assert float(rows) == pytest.approx(70)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "died").touch()
    drive(tmp_path / "again", *score(pool, bundle, tmp_path / "again" / "run", *ONE), patch=LATE)
    assert (tmp_path / "again" / "told").read_text().split()[2] == tokens


@pytest.mark.slow
def test_many_rows_that_kill_stop_the_run(pool, bundle, tmp_path):
    patch = FATAL.format(word=" ", deed=SEGFAULT)
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch=patch)
    assert done.returncode == 1
    assert "chunk 0" in done.err and "workers died of 4 single records (signal SIGSEGV)" in done.err
    assert not list((tmp_path / "run" / "chunks").iterdir())


@pytest.mark.slow
def test_workers_that_cannot_start_stop_the_run(pool, bundle, tmp_path):
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch="if WORKER: os._exit(3)")
    assert done.returncode == 1
    assert "worker processes cannot start (exit code 3, 3 times)" in done.err


@pytest.mark.slow
def test_a_worker_that_hangs_fails_its_chunk_and_no_other(pool, bundle, clean, tmp_path):
    patch = "from scar.serving.workers import supervised\nsupervised.BACKOFF = 0.1\n"
    patch += FATAL.format(word="poison", deed="time.sleep(1000)")
    arguments = score(pool, bundle, tmp_path / "run", *ONE, "--stall", 1)
    done = drive(tmp_path, *arguments, patch=patch)
    assert done.returncode == 1
    assert "chunk 2 is not scored: a worker hung on it 4 times (no sign for 1 s)" in done.err
    assert "run the same command again" in done.err
    names = sorted(path.name for path in (tmp_path / "run" / "chunks").iterdir())
    assert names == [f"0000000{chunk}.parquet" for chunk in (0, 1, 3, 4)]
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.slow
def test_a_worker_that_hangs_once_costs_nothing_but_time(pool, bundle, clean, tmp_path):
    once = 'mark = HERE / "hung"\n            if not mark.exists(): mark.touch(); os.kill(os.getpid(), signal.SIGSTOP)'
    patch = FATAL.format(word="poison", deed=once)
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE, "--stall", 2), patch=patch)
    assert done.returncode == 0, done.err
    assert "a worker hung (no sign for 2 s)" in done.err
    near(tmp_path / "run", clean)


@pytest.mark.slow
@pytest.mark.parametrize(("error", "code"), [("InputError", 2), ("RunError", 1), ("KeyError", 1)])
def test_what_a_worker_raises_stops_the_run_with_its_words(error, code, pool, bundle, tmp_path):
    patch = "from scar.errors import InputError, RunError\n"
    patch += FATAL.format(word="poison", deed=f'raise {error}("the poison was found")')
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch=patch)
    assert done.returncode == code and "the poison was found" in done.err
    assert ("Traceback" in done.err) is (error == "KeyError")
    if error == "KeyError":
        assert "in a worker process" in done.err and "in fatal" in done.err


def begun(process, folder, processes):
    """Wait until a run has so many processes, and hangs in one of them."""
    deadline = time.monotonic() + 60
    while not (folder / "hangs").exists() or len(group(process)) < processes:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)


def gone(process, seconds=5):
    """Tell whether a process's group is empty within a few seconds."""
    deadline = time.monotonic() + seconds
    while group(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not group(process)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(
    "how", ["time.sleep(1000)", "import ctypes; ctypes.PyDLL(None).sleep(1000)"], ids=["waits", "stuck"]
)
def test_no_worker_outlives_the_run(number, how, pool, bundle, tmp_path):
    patch = FATAL.format(word=".", deed=f'(HERE / "hangs").touch(); {how}')
    process = start(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch=patch)
    try:
        begun(process, tmp_path, 2)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
        process.wait(10)
        assert gone(process)
        assert number == signal.SIGKILL or "Traceback" not in process.stderr.read().partition("worker")[2]
    finally:
        end(process)


NAPS = FATAL.format(word=".", deed='(HERE / "hangs").touch(); time.sleep(0.04)')


@pytest.mark.slow
def test_a_worker_that_waits_for_a_slow_commit_does_not_hang(pool, bundle, tmp_path):
    patch = "from scar.cli import progress\nprogress.Bar.chunk = lambda self, counts: time.sleep(2.5)"
    flags = ("--workers", 1, "--chunk_rows", 35, "--stall", 1)
    done = drive(tmp_path, *score(pool, bundle, tmp_path / "run", *flags), patch=patch)
    assert done.returncode == 0 and "hung" not in done.err, done.err


@pytest.mark.slow
def test_a_run_that_was_stopped_for_a_while_goes_on(pool, bundle, clean, tmp_path):
    """As by Ctrl-Z, or by a batch system that lets another job in."""
    arguments = score(pool, bundle, tmp_path / "run", *ONE, "--stall", 2)
    process = start(tmp_path, *arguments, patch=NAPS)
    try:
        begun(process, tmp_path, 2)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(8)
        os.killpg(process.pid, signal.SIGCONT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0 and "hung" not in told, told
    finally:
        end(process)
    near(tmp_path / "run", clean)


@pytest.mark.slow
def test_a_worker_that_is_killed_from_outside_is_replaced(pool, bundle, clean, tmp_path):
    process = start(tmp_path, *score(pool, bundle, tmp_path / "run", *ONE), patch=NAPS)
    try:
        for _ in range(2):
            begun(process, tmp_path, 2)
            for number in group(process):
                if b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes():
                    os.kill(number, signal.SIGKILL)
            (tmp_path / "hangs").unlink()
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0 and "a worker died (signal SIGKILL)" in told, told
        assert told.count("a worker died") == 2
    finally:
        end(process)
    near(tmp_path / "run", clean)


@pytest.mark.slow
def test_two_workers_keep_the_pools_order_and_set_aside_what_kills(pool, bundle, clean, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    done = drive(
        tmp_path,
        *score(pool, bundle, tmp_path / "run", "--workers", 2, "--chunk_rows", 16),
        patch=FATAL.format(word="poison", deed=SEGFAULT),
    )
    assert done.returncode == 0, done.err
    assert near(tmp_path / "run", clean, {37})["reason"][37] == "crashed"
    summary = json.loads((tmp_path / "run" / "run.json").read_text())
    assert summary["set_aside"] == {"crashed": 1} and summary["scored"] == 69


def test_a_worker_that_takes_a_dead_one_s_place_refuses_a_bundle_that_changed_since(bundle, tmp_path):
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    pool = write_jsonl(tmp_path / "pool.jsonl", [*pool_rows(6), {"instruction": "i", "response": "POISON"}])
    # The bundle is trained anew, say: another ranker.json, and a manifest that fits it.
    deed = (
        "import json; from scar.bundle import Bundle, MANIFEST, seal; "
        f"own = Path({str(own)!r}); ranker = json.loads((own / 'ranker.json').read_text()); "
        "(own / 'ranker.json').write_text(json.dumps({**ranker, 'seed': 99})); (own / MANIFEST).unlink(); seal(own); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    patch = FATAL.format(word="POISON", deed=deed)
    done = drive(tmp_path, *score(pool, own, tmp_path / "run", "--workers", 1), patch=patch)
    assert done.returncode == 1, done.err
    assert "ranker.json: changed since the run began" in done.err
    assert not list((tmp_path / "run" / "ledger").iterdir())

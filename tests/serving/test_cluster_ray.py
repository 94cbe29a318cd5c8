"""A Ray of three nodes on this machine: one is taken away, the driver killed; the bytes are those of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scar.cli import main
from scar.runs import LEDGER, LOCK
from tests.make import pool_rows, write_jsonl
from tests.pools.blocked import said

ray = pytest.importorskip("ray")
ROOT = Path(__file__).parent.parent.parent
ROWS = [*pool_rows(156), b"{broken", {"instruction": "x", "response": None}]
CHUNKS = 79
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
MARK = "SCAR_OF_THE_TESTED_CLUSTER"
KINDS = (("chunks", ".parquet"), ("embeddings", ".npy"))
OWN = ("run.json", ".inputs.json", LOCK)


@pytest.fixture(scope="module")
def cluster():
    """Three nodes of one processor each, by their own word; the driver joins the first."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv(MARK, "1")
        patch.setenv("RAY_health_check_period_ms", "500")  # a node that is gone is missed after 5 of them
        nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        nodes.add_node(**NODE)
        nodes.add_node(**NODE)
        yield nodes
        nodes.shutdown()


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("pool") / "a.jsonl", ROWS)


def command(pool, bundle, out, *more):
    return [
        "score",
        str(pool),
        "--ranker",
        str(bundle),
        "--out",
        str(out),
        "--chunk_rows",
        "2",
        "--embeddings",
        *more,
    ]


def files(run):
    """Give the files of a run, but for what tells times and places."""
    names = [path.relative_to(run).as_posix() for path in sorted(run.rglob("*")) if path.is_file()]
    return {name: (run / name).read_bytes() for name in names if name not in OWN}


@pytest.fixture(scope="module")
def whole(pool, bundle, tmp_path_factory):
    """The run of one process."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(command(pool, bundle, run)) == 0
    assert len(list((run / LEDGER).iterdir())) == CHUNKS
    return files(run)


def begun(cluster, pool, bundle, run, *more):
    """Begin a driver."""
    there = ["--cluster", "ray", "--ray-address", cluster.address, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "scar", *command(pool, bundle, run, *there)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_done(driver, run, chunks):
    """Wait for so many chunks in the ledger."""
    deadline = time.monotonic() + 90
    while not (run / LEDGER).is_dir() or len(list((run / LEDGER).glob("*.json"))) < chunks:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers():
    """Find the worker processes of the cluster's actors."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, marks = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"spawn_main" in command and MARK.encode() in marks:
            found.append(int(folder.name))
    return found


def no_worker_is_left(seconds=20):
    deadline = time.monotonic() + seconds
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    return workers() == []


def ended(driver, code=0):
    out, err = driver.communicate(timeout=150)
    assert driver.returncode == code, out + err
    return out + err


@pytest.mark.slow
def test_a_node_is_lost_and_a_driver_is_killed_and_no_byte_differs(cluster, pool, bundle, whole, tmp_path):
    run = tmp_path / "killed"
    driver = begun(cluster, pool, bundle, run, "--actors", "3", "--workers", "1")
    until_done(driver, run, 12)
    assert workers()
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = len(list((run / LEDGER).glob("*.json")))
    assert 12 <= before < CHUNKS and not (run / "run.json").exists()

    # At once: the actors of the dead one may still be there. Who scores for an actor is no part of the plan.
    driver = begun(cluster, pool, bundle, run, "--actors", "3")
    until_done(driver, run, before + 12)
    cluster.remove_node(list(cluster.worker_nodes)[0], allow_graceful=False)
    assert len(list((run / LEDGER).glob("*.json"))) < CHUNKS
    told = ended(driver)
    assert "did not end well; taken over" in told and "rows were done before)" in told
    assert "read 158 rows, 158 records: 156 scored, 2 set aside" in told
    assert files(run) == whole
    assert json.loads((run / "run.json").read_text())["records"] == 158
    assert main(["verify", str(run), "--check"]) == 0
    assert no_worker_is_left()
    cluster.add_node(**NODE)


HARMFUL = """
import sys
from pathlib import Path
import ray
from scar.serving.cluster import on_ray
from scar.serving.workers import process, supervised

class Udf(on_ray.Udf):
    def __init__(self, *given):
        from tests.serving import harmful
        process.work, supervised.BACKOFF, supervised.RETRIES = harmful.work, 0.1, 1
        try:
            Path(given[0].folder, "tally").touch(exist_ok=False)
            ray.kill(given[1], no_restart=False)  # as Ray does where memory is short
        except FileExistsError:
            pass
        super().__init__(*given)

on_ray.Udf = Udf
from scar.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_row_that_kills_and_one_that_hangs_cost_what_they_cost_on_one_machine(cluster, bundle, tmp_path):
    rows = pool_rows(24)
    pool = write_jsonl(tmp_path / "a.jsonl", rows)
    assert main(command(pool, bundle, tmp_path / "whole")) == 0
    rows[9]["response"] += " deadly"
    rows[14]["response"] += " endless"
    write_jsonl(pool, rows)
    run = tmp_path / "run"
    there = ["--cluster", "ray", "--ray-address", cluster.address, "--workers", "1", "--stall", "1"]
    driver = subprocess.Popen(
        [sys.executable, "-c", HARMFUL, *command(pool, bundle, run, *there)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told, host = ended(driver, 1), f"on {os.uname().nodename}: "
    why = f"chunk 7 is not scored: {host}a worker hung on it 2 times (no sign for 1 s); run the same command"
    assert f"scar: error: {run}: {why}" in told and "Traceback" not in told and "logging.cc" not in told
    assert f"{host}chunk 4 (a.jsonl, line 9), records 1 to 1: a worker died (signal SIGSEGV)" in told
    (aside,) = (run / "set_aside" / "00000004.jsonl").read_text().splitlines()
    assert (json.loads(aside)["row"], json.loads(aside)["reason"]) == (9, "crashed")
    found, wanted = files(run), files(tmp_path / "whole")
    same = [f"{room}/0000000{chunk}{kind}" for room, kind in KINDS for chunk in (0, 1, 2, 3, 5, 6, 8, 9)]
    assert all(found[name] == wanted[name] for name in same)
    assert not (run / LEDGER / "00000007.json").exists() and not (run / "run.json").exists()
    assert (run / "tally").exists() and no_worker_is_left()


@pytest.mark.slow
def test_what_is_wrong_on_a_node_is_one_line_of_the_driver(cluster, pool, bundle, tmp_path):
    """The user's fault exits with 2, as it would here: a bundle that is damaged once the driver has looked at it."""
    run = tmp_path / "wrong"
    code = (
        "import sys, shutil\n"
        "from scar.serving.cluster import on_ray\n"
        "real = on_ray.Order.of\n"
        "def late(job, *rest):\n"
        "    order = real(job, *rest)\n"
        "    shutil.rmtree(job.bundles[0].path)\n"
        "    return order\n"
        "on_ray.Order.of = late\n"
        "from scar.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    import shutil

    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    arguments = command(
        pool, copy, run, "--cluster", "ray", "--ray-address", cluster.address, "--actors", "1"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("scar: error:")]
    assert str(copy) in line and line.startswith(f"scar: error: on {os.uname().nodename}: ")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_chunk_that_kills_its_actor_ends_the_run_in_one_line(cluster, pool, bundle, tmp_path):
    code = (
        "import os, sys\n"
        "from scar.serving.cluster import on_ray\n"
        "class Udf(on_ray.Udf):\n"
        "    def __init__(self, *given):\n"
        "        super().__init__(*given)\n"
        "        on_ray.TRIES = 2\n"
        "        real = self._actor.score\n"
        "        self._actor.score = lambda chunk: os._exit(1) if chunk.index == 7 else real(chunk)\n"
        "on_ray.Udf = Udf\n"
        "from scar.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    run = tmp_path / "kills"
    arguments = command(
        pool, bundle, run, "--cluster", "ray", "--ray-address", cluster.address, "--actors", "2"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 1, done.stderr
    assert "scar: error: chunk 7 (a.jsonl, line 15): 2 actors died over it" in done.stderr
    assert "with --workers 1 finds it" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (run / LEDGER / "00000007.json").exists() and not (run / "run.json").exists()


@pytest.mark.slow
def test_a_driver_that_is_asked_to_stop_stops_within_ten_seconds(cluster, pool, bundle, whole, tmp_path):
    run = tmp_path / "stopped"
    driver = begun(cluster, pool, bundle, run, "--actors", "2", "--workers", "1")
    until_done(driver, run, 5)
    started = time.monotonic()
    driver.send_signal(signal.SIGTERM)
    told = ended(driver, 128 + signal.SIGTERM)
    assert time.monotonic() - started < 10 and "the same command goes on" in told
    assert not (run / "run.json").exists() and no_worker_is_left()


def test_without_ray_the_extra_is_named():
    code = (
        "from scar.serving.cluster.on_ray import _connected\n"
        "from scar.settings import Cluster\n"
        "try:\n    _connected(Cluster('ray')).__enter__()\n"
        "except InputError as error:\n    print(error)\n"
    )
    assert "--cluster ray needs the ray extra: pip install 'scar-rank[ray]'" in said(code, without=["ray"])


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:port"])
def test_an_address_where_nobody_is_fails_in_one_line(pool, bundle, tmp_path, address, capsys):
    flags = ["--cluster", "ray", "--ray-address", address]
    assert main(command(pool, bundle, tmp_path / "run", *flags)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"scar: error: --ray-address {address}: no cluster to be had there: ")

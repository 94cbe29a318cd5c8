"""What serve/ submits to schedulers: right shell and YAML, which do what they say with a scheduler of a few lines."""

import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from scar.cli import main
from tests.make import pool_rows, write_jsonl

ROOT = Path(__file__).parents[1]
SLURM = ROOT / "serve" / "slurm.sh"
SCAR = '#!/bin/sh\nexec {python} -m scar "$@"\n'
SBATCH = """#!/usr/bin/env bash
set -e
echo "$*" >> {log}
unset array wrap
while true; do
  case "$1" in
    --array=1-*) array="${{1#--array=1-}}" ;;
    --wrap) wrap="$2"; shift ;;
    --*) ;;
    *) break ;;
  esac
  shift
done
if [ -n "${{wrap:-}}" ]; then
  bash -c "$wrap"
else
  for task in $(seq "$array"); do
    SLURM_JOB_ID=7$task SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=$array bash "$@" > /dev/null
  done
  echo "7;cluster"
fi
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A scheduler that runs what it is given at once; gives the file in which it notes what it was asked."""
    there, log = tmp_path / "bin", tmp_path / "asked"
    there.mkdir()
    scripts = {
        "scar": SCAR.format(python=shlex.quote(sys.executable)),
        "sbatch": SBATCH.format(log=log),
        "scontrol": f'#!/bin/sh\necho "scontrol $*" >> {log}\n',
    }
    for name, text in scripts.items():
        (there / name).write_text(text)
        (there / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{there}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return log


def files(run):
    found = {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    return {
        name: content for name, content in found.items() if name not in ("run.json", ".inputs.json", ".lock")
    }


def test_the_shell_is_shell():
    assert subprocess.run(["bash", "-n", SLURM]).returncode == 0
    assert SLURM.stat().st_mode & stat.S_IXUSR
    few = subprocess.run([SLURM, "pool"], capture_output=True, text=True)
    assert few.returncode == 2 and few.stderr.startswith("usage: slurm.sh POOL BUNDLE RUN SHARDS")


@pytest.mark.slow
def test_an_array_of_three_scores_and_gathers_what_one_process_would(slurm, bundle, tmp_path):
    pool, run, alone = (
        write_jsonl(tmp_path / "a.jsonl", pool_rows(20)),
        tmp_path / "a run",
        tmp_path / "alone",
    )
    done = subprocess.run(
        [SLURM, pool, bundle, run, "3", "--chunk_rows", "4"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert main(["score", str(pool), "--ranker", str(bundle), "--out", str(alone), "--chunk_rows", "4"]) == 0
    assert files(run) == files(alone) and (run / "run.json").exists()
    first, second = slurm.read_text().splitlines()
    assert "--array=1-3" in first and "--dependency=afterok:7 --kill-on-invalid-dep=yes" in second


@pytest.mark.slow
def test_a_task_that_is_run_again_alone_scores_its_own_shard(slurm, bundle, tmp_path):
    pool, run = write_jsonl(tmp_path / "a.jsonl", pool_rows(20)), tmp_path / "run"
    flags = ["--chunk_rows", "4"]
    assert main(["plan", str(pool), "--ranker", str(bundle), "--out", str(run), *flags]) == 0
    # As `sbatch --array=3` has it.
    task = {"SLURM_JOB_ID": "73", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1"}
    done = subprocess.run(
        ["bash", SLURM, pool, bundle, run, "5", *flags],
        env={**os.environ, **task},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (run / "ledger").iterdir()] == ["00000002.json"]


@pytest.mark.slow
def test_overwrite_begins_a_finished_run_anew_and_its_tasks_are_not_told(slurm, bundle, tmp_path):
    pool, run = write_jsonl(tmp_path / "a.jsonl", pool_rows(8)), tmp_path / "run"
    score = ["score", str(pool), "--ranker", str(bundle), "--out", str(run), "--chunk_rows", "8"]
    assert main(score) == 0
    done = subprocess.run(
        [SLURM, pool, bundle, run, "2", "--overwrite", "--chunk_rows", "4"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((run / "ledger").iterdir())) == 2 and (run / "run.json").exists()
    assert slurm.read_text().splitlines()[0].endswith(" 2 --chunk_rows 4")


@pytest.mark.slow
def test_a_task_that_runs_out_of_time_stops_and_is_queued_again(slurm, bundle, tmp_path):
    pool, run = write_jsonl(tmp_path / "a.jsonl", pool_rows(3000)), tmp_path / "run"
    flags = ["--chunk_rows", "4"]
    assert main(["plan", str(pool), "--ranker", str(bundle), "--out", str(run), *flags]) == 0
    # The job of one task of an array has the array's own number.
    task = {"SLURM_JOB_ID": "71", "SLURM_ARRAY_JOB_ID": "71", "SLURM_ARRAY_TASK_ID": "1"}
    script = subprocess.Popen(
        ["bash", SLURM, pool, bundle, run, "1", *flags],
        env={**os.environ, **task},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (run / "ledger" / "00000003.json").exists():
        assert time.monotonic() < deadline and script.poll() is None
        time.sleep(0.02)
    script.send_signal(signal.SIGUSR1)  # to the shell alone, as --signal=B: has it
    _, told = script.communicate(timeout=30)
    assert script.returncode == 128 + signal.SIGUSR1 and "stopped by SIGUSR1" in told
    assert slurm.read_text() == "scontrol requeue 71_1\n"
    assert 4 <= len(list((run / "ledger").iterdir())) < 750


def test_the_ray_job_is_yaml_whose_command_line_parses(monkeypatch):
    job = yaml.safe_load((ROOT / "serve" / "ray_job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert all(group["template"]["spec"]["containers"][0]["image"] for group in groups)
    (pinned,) = [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("ray==")
    ]
    assert pinned == f"ray=={spec['rayVersion']}"

    import scar.serving.run as run

    asked = []

    class Reached(Exception):
        pass

    def reached(pool, rankers, out, **more):
        asked.append((pool, rankers, out, more["cluster"]))
        raise Reached

    monkeypatch.setattr(run, "score_pool", reached)
    command, *words = shlex.split(job["spec"]["entrypoint"])
    assert command == "scar" and main(words) == 1
    ((pool, rankers, out, cluster),) = asked
    assert (pool, rankers, out) == ("s3://my-bucket/pool", ["/ranker"], "s3://my-bucket/run")
    assert (cluster.cluster, cluster.ray_address, cluster.cpus_per_actor) == ("ray", "auto", 4)
    worker = spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    assert int(worker["resources"]["limits"]["cpu"]) % cluster.cpus_per_actor == 0

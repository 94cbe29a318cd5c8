"""Whole runs on a store: the same bytes as on a disk, whoever is killed, damaged or in the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scar.cli import main
from scar.runs import LOCK, entry_name, open_folder
from scar.serving import session
from tests.make import pool_rows, read_jsonl, write_jsonl

pytestmark = pytest.mark.slow


pytest.importorskip("s3fs")
ROOT = Path(__file__).parent.parent.parent
ROWS = [*pool_rows(46), b"{broken", {"instruction": "x", "response": None}]
KILLED = """
import os, signal, sys
from scar.cli import main
from scar.runs import lease
from scar.runs.remote import Remote

real, left = Remote._told, [int(sys.argv.pop(1))]
lease.SECONDS = 0.5
put = Remote.writing

def writing(self, name):
    if name.startswith(("chunks", "set_aside", "ledger")):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return put(self, name)

Remote.writing = writing
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A pool with rows that cannot be scored, on the disk."""
    return write_jsonl(tmp_path_factory.mktemp("pool") / "a.jsonl", ROWS)


def score(pool, bundle, out, *more):
    return ["score", str(pool), "--ranker", str(bundle), "--out", str(out), "--chunk_rows", "8", *more]


@pytest.fixture(scope="module")
def whole(pool, bundle, tmp_path_factory):
    """The files of an uninterrupted run on the disk, but for what tells times and places."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(score(pool, bundle, run)) == 0
    names = [path.relative_to(run).as_posix() for path in sorted(run.rglob("*")) if path.is_file()]
    return {name: (run / name).read_bytes() for name in names if name not in OWN}


OWN = ("run.json", ".inputs.json", LOCK)


def files(s3, run):
    """Give the objects of a run, but for what tells times and places."""
    found = s3.list_objects_v2(Bucket="bucket", Prefix=f"{run}/").get("Contents", [])
    names = [each["Key"].removeprefix(f"{run}/") for each in found]
    return {
        name: s3.get_object(Bucket="bucket", Key=f"{run}/{name}")["Body"].read()
        for name in names
        if name not in OWN
    }


def test_a_run_on_a_store_has_the_bytes_of_one_on_a_disk(s3, pool, bundle, whole, tmp_path, capsys):
    assert main(score(pool, bundle, "s3://bucket/plain")) == 0
    assert files(s3, "plain") == whole
    before = s3.head_object(Bucket="bucket", Key=f"plain/{LOCK}")["ETag"]
    assert main(score(pool, bundle, "s3://bucket/plain")) == 0
    assert "s3://bucket/plain is finished already" in capsys.readouterr().out
    assert (
        s3.head_object(Bucket="bucket", Key=f"plain/{LOCK}")["ETag"] == before
    )  # no lease was taken to say so
    assert main(["status", "s3://bucket/plain"]) == 0
    assert "6 of 6 chunks, 48 of 48 rows; finished" in capsys.readouterr().out
    assert main(["select", "s3://bucket/plain", "--top", "3", "--out", str(tmp_path / "kept.jsonl")]) == 0
    assert len(read_jsonl(tmp_path / "kept.jsonl")) == 3


def test_pool_and_run_on_a_store(s3, pool, bundle, whole):
    s3.put_object(Bucket="bucket", Key="pool_of_a_run/a.jsonl", Body=pool.read_bytes())
    assert main(score("s3://bucket/pool_of_a_run", bundle, "s3://bucket/both")) == 0
    theirs = files(s3, "both")
    del theirs["plan.json"]
    entries = {name for name in whole if name.startswith("ledger")}
    assert theirs.keys() == whole.keys() - {"plan.json"}
    # The pool's mark is the store's, so plan and fingerprint are others; every byte of a score is the same.
    assert all(theirs[name] == whole[name] for name in theirs.keys() - entries)


def test_a_pool_on_a_store_that_changes_while_it_is_scored_is_told(s3, pool, bundle, monkeypatch, capsys):
    s3.put_object(Bucket="bucket", Key="changing/a.jsonl", Body=pool.read_bytes())
    commit = session.commit_scored

    def and_change(*words):
        s3.put_object(Bucket="bucket", Key="changing/a.jsonl", Body=pool.read_bytes() + b"\n")
        return commit(*words)

    monkeypatch.setattr(session, "commit_scored", and_change)
    assert main(score("s3://bucket/changing", bundle, "s3://bucket/changed")) == 2
    assert "changing/a.jsonl: changed while it was read" in capsys.readouterr().err
    assert "run.json" not in open_folder("s3://bucket/changed").names()


def test_shards_are_planned_scored_and_gathered(s3, pool, bundle, whole, capsys):
    run = "s3://bucket/shards"
    assert main(["plan", *score(pool, bundle, run)[1:]]) == 0
    assert main(["gather", run]) == 2
    for shard in ("2/2", "1/2"):
        assert main(score(pool, bundle, run, "--shard", shard)) == 0
    assert main(["gather", run]) == 0
    assert files(s3, "shards") == whole
    assert main(["verify", run, "--check"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["chunks/00000002.parquet", "set_aside/00000005.jsonl", "ledger/00000001.json"]
)
def test_a_damaged_object_is_found_and_made_anew(s3, pool, bundle, whole, name, capsys):
    run = "damaged"
    if not files(s3, run):
        assert main(score(pool, bundle, f"s3://bucket/{run}")) == 0
    good = files(s3, run)[name]
    s3.put_object(Bucket="bucket", Key=f"{run}/{name}", Body=good[:-9] + b"#" + good[-8:])
    assert main(["verify", f"s3://bucket/{run}", "--check"]) == 1
    assert name in capsys.readouterr().out
    assert main(["verify", f"s3://bucket/{run}"]) == 0
    assert files(s3, run) == whole


def test_another_run_is_refused_and_overwritten_on_demand(s3, pool, bundle, whole, capsys):
    out = "s3://bucket/other"
    assert main(score(pool, bundle, out, "--carry", "source")) == 0
    assert main(score(pool, bundle, out)) == 2
    assert f"{out} holds another run: scoring.carry differs" in capsys.readouterr().err
    assert main(score(pool, bundle, out, "--overwrite")) == 0
    assert files(s3, "other") == whole
    s3.put_object(Bucket="bucket", Key="foreign/file.txt", Body=b"mine")
    assert main(score(pool, bundle, "s3://bucket/foreign")) == 2
    assert "is not empty and not a run" in capsys.readouterr().err


def test_a_living_owner_is_named(s3, pool, bundle, capsys):
    with open_folder("s3://bucket/owned").hold():
        assert main(score(pool, bundle, "s3://bucket/owned")) == 2
    assert f"is being written by pid {os.getpid()} on " in capsys.readouterr().err


def test_a_run_whose_lease_was_lost_stops_before_its_next_commit(
    s3, pool, bundle, whole, monkeypatch, capsys
):
    import scar.serving.session as session

    real, left = session.commit_scored, [3]

    def steal(folder, *rest):
        left[0] -= 1
        if left[0] == 0:
            note = {**json.loads(folder.open(LOCK).read()), "pid": 7, "host": "thief", "token": "theirs"}
            s3.put_object(Bucket="bucket", Key=f"stolen/{LOCK}", Body=json.dumps(note).encode())
            folder._lease.renew()
        return real(folder, *rest)

    monkeypatch.setattr(session, "commit_scored", steal)
    assert main(score(pool, bundle, "s3://bucket/stolen")) == 1
    assert "lost its lease of the run, it is pid 7 on thief" in capsys.readouterr().err
    assert sum(name.startswith("ledger") for name in files(s3, "stolen")) == 2
    assert json.loads(s3.get_object(Bucket="bucket", Key=f"stolen/{LOCK}")["Body"].read())["host"] == "thief"


@pytest.mark.slow
def test_a_killed_run_goes_on_once_its_lease_has_ended(s3, pool, bundle, whole, capsys):
    """Killed before the first PUT of a chunk, between its two, and before its ledger entry."""
    out = "s3://bucket/killed"
    for put in (4, 2, 3):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(put), *score(pool, bundle, out)],
            cwd=ROOT,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        time.sleep(3.5)  # the lease, and the seconds that stores tell times in
    entries = [name for name in files(s3, "killed") if name.startswith("ledger")]
    assert entries == [entry_name(0)]
    assert main(score(pool, bundle, out)) == 0
    assert "(8 rows were done before)" in capsys.readouterr().out
    assert files(s3, "killed") == whole

"""Chunks that actors score and commit: as the driver would, whatever stands beside them. Without Ray."""

import gzip
import json
import logging
import multiprocessing
import os
import shutil
import threading
from dataclasses import replace

import pytest

from scar.cli import main
from scar.errors import InputError, RunError
from scar.pools import cut, find
from scar.runs import LOCK, Disk, Plan, data_name, entry_name, set_aside_name
from scar.serving.choice import Choice
from scar.serving.cluster import actor as actors
from scar.serving.cluster import on_ray
from scar.serving.cluster.actor import Actor, refuse_ungated
from scar.serving.cluster.hushed import hushed
from scar.serving.cluster.lines import Lines
from scar.serving.cluster.order import Answer, Order, chunk_of, holder
from scar.serving.job import Job
from scar.serving.ledger import Counts, digest
from scar.serving.opened import Opened
from scar.serving.pipeline import Meter
from scar.serving.run import plan_run, score_pool
from scar.settings import Cluster, Scoring
from tests.make import pool_rows, write_jsonl

ROWS = [*pool_rows(20), b"{broken"]
SCORING = Scoring(chunk_rows=8)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("pool") / "a.jsonl", ROWS)


@pytest.fixture(scope="module")
def whole(pool, bundle, tmp_path_factory):
    """A run that one process did alone."""
    run = tmp_path_factory.mktemp("whole") / "run"
    score_pool(pool, bundle, run, scoring=SCORING)
    return run


@pytest.fixture
def driver(pool, bundle, tmp_path):
    """A driver that holds a planned run; gives its folder, plan and order."""
    folder = Disk(tmp_path / "run")
    plan = plan_run(pool, bundle, folder, scoring=SCORING)
    folder.prepare()
    with folder.hold():
        job = Job.of(pool, bundle, scoring=SCORING)
        yield folder, plan, Order.of(job, plan, folder, digest(plan.fingerprint), 1)


def same(folder, whole, index):
    names = data_name(index), set_aside_name(index), entry_name(index)
    return all((folder.path / name).read_bytes() == (whole / name).read_bytes() for name in names)


def temps(folder):
    return [path.name for path in folder.path.rglob("*.tmp")]


def test_an_actor_commits_the_bytes_that_one_process_would(driver, whole):
    folder, plan, order = driver
    actor = Actor(order)
    answers = [actor.score(chunk) for chunk in plan.chunks]
    assert [answer.error for answer in answers] == ["", "", ""]
    assert sum(answer.counts.rows for answer in answers) == len(ROWS)
    assert answers[2].counts.set_aside == {"invalid_json": 1}
    assert all(same(folder, whole, index) for index in range(3)) and temps(folder) == []
    assert all(answer.meter.tokens for answer in answers)


def test_a_retry_after_a_commit_changes_nothing_and_counts_the_same(driver, whole):
    folder, plan, order = driver
    first = Actor(order).score(plan.chunks[1])
    stamp = os.stat(folder.path / entry_name(1)).st_mtime_ns
    again = Actor(order).score(plan.chunks[1])
    assert again.counts == first.counts and again.meter == Meter()
    assert os.stat(folder.path / entry_name(1)).st_mtime_ns == stamp


def test_what_was_committed_before_is_known_without_scoring_it(driver):
    _, plan, order = driver
    assert Actor(order).had(plan.chunks[1]) is None
    first = Actor(order).score(plan.chunks[1])
    assert Actor(order).had(plan.chunks[1]) == Answer(1, first.counts, Meter())


@pytest.mark.parametrize("name, found", [("a.jsonl.gz", "a.jsonl.gz"), ("a.jsonl", None)])
def test_a_packed_stream_of_many_chunks_is_named(name, found, tmp_path):
    rows = b"".join(b'{"instruction": "a", "response": "b"}\n' for _ in range(on_ray.MANY))
    (tmp_path / name).write_bytes(gzip.compress(rows) if found else rows)
    chunks = cut(find(tmp_path), 1)[1]
    assert on_ray.unpacked_again(chunks) == found and on_ray.unpacked_again(chunks[1:]) is None


def test_a_retry_after_half_a_commit_does_it_again(driver, whole):
    folder, plan, order = driver
    Actor(order).score(plan.chunks[1])
    (folder.path / data_name(1)).write_bytes(b"half")
    assert Actor(order).score(plan.chunks[1]).meter.tokens
    assert same(folder, whole, 1)


def test_a_retry_writes_beside_an_attempt_that_is_not_quite_dead(driver, whole, monkeypatch):
    """Both are at the point of writing the same chunk, and neither is refused or leaves half a file."""
    folder, plan, order = driver
    both = threading.Barrier(2)
    real = Disk.writing

    def writing(self, name):
        if name.startswith("chunks"):
            both.wait(20)
        return real(self, name)

    monkeypatch.setattr(Disk, "writing", writing)
    answers = []
    threads = [
        threading.Thread(target=lambda actor=actor: answers.append(actor.score(plan.chunks[0])))
        for actor in (Actor(order), Actor(order))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.error for answer in answers] == ["", ""] and answers[0].counts == answers[1].counts
    assert same(folder, whole, 0) and temps(folder) == []


def test_an_orphan_writes_nothing_once_another_driver_holds_the_run(driver, pool, bundle, tmp_path):
    folder, plan, order = driver
    lock = json.loads((folder.path / LOCK).read_text())
    (folder.path / LOCK).write_text(json.dumps({**lock, "pid": lock["pid"] + 1}))
    answer = Actor(order).score(plan.chunks[0])
    assert "is not held by the driver" in answer.error and not answer.is_input
    assert folder.listing("ledger") == folder.listing("chunks") == {}
    with pytest.raises(RunError, match=f"on {actors.HOST}: .*another process has taken it over"):
        answer.refuse_error()


def test_an_orphan_that_was_scoring_meanwhile_does_not_commit(driver, monkeypatch):
    folder, plan, order = driver
    real = actors.read_chunks

    def stolen(*rest):
        (folder.path / LOCK).write_text("{}")
        return real(*rest)

    monkeypatch.setattr(actors, "read_chunks", stolen)
    assert "is not held by the driver" in Actor(order).score(plan.chunks[0]).error
    assert folder.listing("chunks") == {}


def test_a_folder_that_is_not_shared_is_told(driver, tmp_path):
    _, plan, order = driver
    answer = Actor(replace(order, folder=str(tmp_path / "elsewhere"))).score(plan.chunks[0])
    assert "no folder that all machines share" in answer.error
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda order, tmp: replace(order, bundles=(str(tmp / "none"),)), "none"),
        (lambda order, tmp: replace(order, pool=(str(tmp / "none.jsonl"),)), "none.jsonl: no such file"),
        (
            lambda order, tmp: replace(order, files={"a.jsonl": ("", 1, "00")}),
            "a.jsonl: not the file that was planned",
        ),
        (lambda order, tmp: replace(order, files={"b.jsonl": 1}), "another than the driver's: a.jsonl"),
        (
            lambda order, tmp: replace(order, depends={**order.depends, "versions": {"onnxruntime": "0"}}),
            "versions.onnxruntime differs from the driver's",
        ),
    ],
)
def test_a_machine_that_is_not_as_the_drivers_is_told_by_name(driver, tmp_path, change, told):
    folder, plan, order = driver
    answer = Actor(change(order, tmp_path)).score(plan.chunks[0])
    with pytest.raises(InputError, match=f"on {actors.HOST}: .*{told}"):
        answer.refuse_error()
    assert folder.listing("ledger") == {}


def test_another_bundle_at_the_same_path_is_told(driver, bundle, tmp_path):
    from tests.serving.made import remade

    _, plan, order = driver
    other = remade(bundle, tmp_path / "other", trained_steps=7)
    answer = Actor(replace(order, bundles=(str(other),))).score(plan.chunks[0])
    assert answer.is_input and "ranker.style.files.ranker.json differs from the driver's" in answer.error


def test_a_pool_that_changes_meanwhile_is_told(driver, tmp_path, pool):
    _, plan, order = driver
    copy = tmp_path / "a.jsonl"
    shutil.copy(pool, copy)
    actor = Actor(replace(order, pool=(str(copy),)))
    assert not actor.score(plan.chunks[0]).error
    os.utime(copy, (1, 1))
    assert "changed while it was read" in actor.score(plan.chunks[1]).error


def test_reduced_precision_without_a_gate_here_is_refused_by_name(bundle):
    from scar.bundle import Bundle

    opened = Bundle.open(bundle)
    for name in ("tower.fused.onnx", "tower.onnx"):
        refuse_ungated(opened, Choice(name, "onnxruntime", "fp32", ""), Scoring())
    with pytest.raises(InputError, match="openvino bf16 has no gate that passed on this machine.*scar gate"):
        refuse_ungated(opened, Choice("tower.onnx", "openvino", "bf16", ""), Scoring())


@pytest.mark.parametrize("embeddings", ["", "ranker", "ENCODER"])
def test_what_scores_depend_on_is_known_before_anything_is_loaded(
    embeddings, pool, bundle, encoder_bundle, monkeypatch
):
    scoring = replace(SCORING, embeddings=embeddings.replace("ENCODER", str(encoder_bundle)))
    job = Job.of(pool, bundle, scoring=scoring)
    loaded = job.depends()
    choices = tuple(model.choice for model in job.crew.models)
    monkeypatch.delattr(Opened, "of")
    again = Job.of(pool, bundle, scoring=scoring, choices=choices)
    assert again.depends(again.settled) == loaded and again.specs() == job.specs()


def test_an_actor_with_a_worker_loads_no_graph_itself_and_starts_none_before_the_first_chunk(
    driver, monkeypatch
):
    _, _, order = driver
    monkeypatch.delattr(Opened, "of")
    actor = Actor(replace(order, scoring=replace(order.scoring, workers=1), threads=3))
    assert actor.job.scoring.threads == 3 and actor.worker
    actor.worker.close()
    assert multiprocessing.active_children() == []
    with pytest.raises(AttributeError):
        assert Actor(order).job


def test_what_an_actor_logs_is_taken_once_with_the_name_of_its_machine():
    lines, log = Lines("node7"), logging.getLogger("scar.of.a.test")
    log.addHandler(lines)
    log.info("not this")
    log.warning("memory is short: %d", 3)
    assert lines.take() == ((logging.WARNING, "on node7: memory is short: 3"),) and lines.take() == ()


def test_of_what_libraries_write_meanwhile_one_line_is_left_out(capfd):
    os.write(2, b"before\n")
    with pytest.raises(InputError, match="no cluster"), hushed():
        os.write(
            2,
            b"[2026-11-22 00:46:29,530 I 1 1] logging.cc:303: Set ray log level from environment variable X\n",
        )
        os.write(2, b"[2026-11-22 00:46:29,531 E 1 1] core_worker.cc:2: it matters\n")
        raise InputError("no cluster")
    os.write(2, b"after\n")
    told = capfd.readouterr().err
    assert told == "before\n[2026-11-22 00:46:29,531 E 1 1] core_worker.cc:2: it matters\nafter\n"
    with open("/dev/full", "wb") as full:
        own = os.dup(2)
        os.dup2(full.fileno(), 2)
    try:
        with hushed():
            os.write(2, b"nobody takes it")
    finally:
        os.dup2(own, 2)
        os.close(own)


def test_an_answer_is_read_as_it_was_written():
    answer = Answer(3, Counts(1, 2, 3, set_aside={"x": 1}), Meter(5, 6, {"style": 512}), "why", True)
    assert Answer.read(answer.written()) == answer
    left_out = replace(answer, error="", left_out="it hung", log=((logging.WARNING, "on a: b"),))
    assert Answer.read(left_out.written()) == left_out
    with pytest.raises(RunError, match="^why$"):
        replace(answer, is_input=False).refuse_error()


def test_actors_commit_to_a_store_and_know_its_lease_by_its_token(pool, bundle, whole):
    from scar.runs import open_folder
    from tests.store import serving

    with serving() as s3:
        folder = open_folder("s3://bucket/run")
        plan = plan_run(pool, bundle, folder, scoring=SCORING)
        with folder.hold():
            job = Job.of(pool, bundle, scoring=SCORING)
            order = Order.of(job, plan, folder, digest(plan.fingerprint), 1)
            assert not Actor(order).score(plan.chunks[1]).error
        for name in (data_name(1), set_aside_name(1), entry_name(1)):
            assert (
                s3.get_object(Bucket="bucket", Key=f"run/{name}")["Body"].read()
                == (whole / name).read_bytes()
            )
        with folder.hold():  # the same process again, and another lease
            assert "is not held by the driver" in Actor(order).score(plan.chunks[0]).error


def test_a_chunk_is_read_as_it_was_planned(driver):
    folder, plan, _ = driver
    from dataclasses import asdict

    assert [chunk_of(json.dumps(asdict(chunk))) for chunk in Plan.read(folder).chunks] == list(plan.chunks)


def test_the_holder_is_none_where_nobody_holds(tmp_path):
    folder = Disk(tmp_path)
    assert holder(folder) is None
    (tmp_path / LOCK).write_text("rubbish")
    assert holder(folder) is None
    (tmp_path / LOCK).unlink()
    with folder.hold():
        assert holder(folder)[0] == os.getpid()


@pytest.mark.parametrize(
    ("cluster", "scoring", "told"),
    [
        ({}, {"workers": 2}, "--workers 2 and --cluster: an actor has one worker at most"),
        ({}, {"device": "cuda:1"}, "Ray numbers an actor's GPUs itself"),
        ({}, {"device": "cuda"}, "--device cuda with --gpus-per-actor 0"),
        ({"gpus_per_actor": 1}, {}, "--device cpu with --gpus-per-actor 1"),
    ],
)
def test_flags_that_do_not_go_together(cluster, scoring, told):
    with pytest.raises(InputError, match=told):
        Cluster("ray", **cluster).check(Scoring(**scoring))
    Cluster().check(Scoring(**scoring))
    Cluster("ray").check(Scoring(workers=1))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"actors": -1}, "--actors"),
        ({"cpus_per_actor": 0}, "--cpus-per-actor"),
        ({"gpus_per_actor": -1}, "--gpus-per-actor"),
        ({"ray_address": "ray://host:10001"}, "ray job submit"),
    ],
)
def test_a_cluster_that_cannot_be(values, told):
    with pytest.raises(InputError, match=told):
        Cluster("ray", **values)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ray_address", "auto"), ("actors", 2), ("cpus_per_actor", 4), ("gpus_per_actor", 0.5)],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_is_said_of_no_cluster_is_not_ignored(capsys, name, value, more):
    flag = "--" + name.replace("_", "-")
    with pytest.raises(InputError, match=f"^{flag} {value}: .*add --cluster ray"):
        Cluster(**{name: value})
    assert main(["score", "p", "--ranker", "b", "--out", "r", flag, str(value), *more]) == 2
    assert f"scar: error: {flag} {value}: " in capsys.readouterr().err
    assert getattr(Cluster("ray", **{name: value}), name) == value


def test_a_shard_is_not_for_a_cluster(pool, bundle, tmp_path):
    from scar.runs import Shard

    with pytest.raises(InputError, match="--shard and --cluster"):
        score_pool(pool, bundle, tmp_path / "run", shard=Shard(1, 2), cluster=Cluster("ray"))
    assert not (tmp_path / "run").exists()


def test_a_chunk_that_may_kill_runs_alone_and_nobody_slips_in_before():
    from scar.serving.cluster.on_ray import Seats

    seats, order = Seats(), []
    inside, leave = threading.Event(), threading.Event()

    def first():
        with seats.taken(alone=False):
            inside.set()
            leave.wait(10)
            order.append("first")

    def run(name, alone):
        with seats.taken(alone=alone):
            order.append(name)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert inside.wait(10)
    with seats.taken(alone=False):  # two stand side by side
        pass
    for name, alone in (("alone", True), ("late", False)):
        threads.append(threading.Thread(target=run, args=(name, alone)))
        threads[-1].start()
        threads[-1].join(0.1)
        assert threads[-1].is_alive() and order == []
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "alone", "late"]

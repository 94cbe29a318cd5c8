"""What changes between two runs, or while one is under way: another pool or ranker is refused by name."""

import json
import os
import shutil
import signal
from importlib.metadata import version

import pytest

from scar.bundle import CARD, EVALUATION, GATES, RANKER, TOKENIZER, Bundle, changing, seal
from scar.files import write_json
from scar.runs import INPUTS
from tests.faults.pools import Gate, Job, assert_invariant, contents, entries, wait_for


@pytest.fixture
def begun(job, tmp_path):
    """A run of a pool and a bundle of its own, stopped after a few chunks."""
    shutil.copytree(job.pool, tmp_path / "pool")
    shutil.copytree(job.bundle, tmp_path / "bundle")
    own = Job(job.parent, tmp_path / "pool", tmp_path / "bundle")
    process = own.start(tmp_path / "run", **Gate(tmp_path / "gate").how)
    wait_for(lambda: entries(tmp_path / "run") >= 2)
    process.send(signal.SIGTERM)
    process.wait()
    return own


def refused(job, run, *names):
    before = contents(run)
    done = job.run(run)
    assert done.code == 2 and done.err.count("\n") == 1, done
    for name in names:
        assert name in done.err
    assert contents(run) == before
    return done


def append(path):
    path.write_bytes(path.read_bytes() + b"\n" + json.dumps({"instruction": "a", "response": "b"}).encode())


def edit(path):
    old = path.read_bytes()
    path.write_bytes(old.replace(b"what is", b"what Is", 1))
    assert len(path.read_bytes()) == len(old) and path.read_bytes() != old


def edit_and_set_back(path):
    was = os.stat(path)
    edit(path)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert os.stat(path).st_mtime_ns == was.st_mtime_ns


def reorder(path):
    path.write_bytes(b"\n".join(reversed(path.read_bytes().split(b"\n"))))


def edit_and_forget(path):
    """Edit where nothing is left that tells how the pool looked, as after a power loss."""
    edit(path)
    (path.parent.parent / "run" / INPUTS).unlink()


@pytest.mark.parametrize("change", [append, edit, edit_and_set_back, edit_and_forget, reorder])
def test_a_changed_file_of_the_pool_is_refused_by_its_name(begun, tmp_path, change):
    change(begun.pool / "a.jsonl")
    refused(begun, tmp_path / "run", "pool.a.jsonl differs")


def test_a_file_that_is_gone_renamed_or_new_is_refused_by_its_name(begun, tmp_path):
    (begun.pool / "b.jsonl.gz").rename(begun.pool / "z.jsonl.gz")
    refused(begun, tmp_path / "run", "pool.b.jsonl.gz differs")
    (begun.pool / "z.jsonl.gz").rename(tmp_path / "elsewhere.jsonl.gz")
    refused(begun, tmp_path / "run", "pool.b.jsonl.gz differs")
    (tmp_path / "elsewhere.jsonl.gz").rename(begun.pool / "b.jsonl.gz")
    shutil.copy(begun.pool / "a.jsonl", begun.pool / "d.jsonl")
    refused(begun, tmp_path / "run", "pool.d.jsonl differs")
    shutil.rmtree(begun.pool)
    refused(begun, tmp_path / "run", str(begun.pool), "no such file")


def test_a_file_that_was_only_touched_goes_on(begun, reference, tmp_path):
    for path in begun.pool.iterdir():
        os.utime(path)
    done = begun.run(tmp_path / "run")
    assert done.code == 0 and "going on: 2 of 10" in done.err
    theirs = {name: content for name, content in contents(reference).items() if name != "plan.json"}
    mine = contents(tmp_path / "run")
    assert {name for name in theirs if name.startswith("ledger")} <= mine.keys()
    assert all(mine[name] == theirs[name] for name in theirs if not name.startswith("ledger"))


def change_ranker(bundle, name, content):
    (bundle / name).write_bytes(content)
    seal(bundle)


def test_another_ranker_is_refused_by_its_field(begun, tmp_path):
    run, bundle = tmp_path / "run", begun.bundle
    whole = {path.name: path.read_bytes() for path in bundle.iterdir() if path.is_file()}

    def restore():
        for name, content in whole.items():
            (bundle / name).write_bytes(content)

    change_ranker(bundle, TOKENIZER, whole[TOKENIZER] + b"\n")
    refused(begun, run, "ranker.style.files.tokenizer.json differs")
    restore()
    described = json.loads(whole[RANKER])
    change_ranker(bundle, RANKER, json.dumps({**described, "note": "another"}).encode())
    refused(begun, run, "ranker.style.files.ranker.json differs")
    restore()
    (bundle / TOKENIZER).write_bytes(whole[TOKENIZER][:-9])
    refused(begun, run, "tokenizer.json: altered since the bundle was written")
    restore()
    assert begun.run(run).code == 0


@pytest.mark.parametrize(
    "more, field",
    [
        (("--graph", "reference"), "graph differs"),
        (("--batch-tokens", 64), "--batch_tokens 512 goes on with it"),
        (("--chunk-rows", 6), "scoring.chunk_rows"),
        (("--turns", "each"), "reading.turns"),
        (("--carry", "instruction"), "scoring.carry"),
    ],
)
def test_another_setting_is_refused_by_its_field(begun, tmp_path, more, field):
    done = begun.run(tmp_path / "run", *more)
    assert done.code == 2 and field in done.err and "differs" in done.err


def other_version(package):
    """Pretend that another version of a package is installed."""
    from scar.serving import engines, job

    real = engines.versions
    job.versions = lambda: {**real(), package: "0.0.1"}


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers", "scar-rank"])
def test_another_version_of_what_makes_the_scores_is_refused_by_name(begun, tmp_path, package):
    done = begun.run(
        tmp_path / "run", before="tests.faults.test_inputs:other_version", given={"package": package}
    )
    assert done.code == 2 and f"versions.{package} differs" in done.err
    assert f"Install {package}=={version(package)}. Choose another --out" in done.err


def test_what_no_score_depends_on_may_change(begun, tmp_path):
    with changing(Bundle.open(begun.bundle)) as change:
        write_json(change.folder / EVALUATION, {"note": "evaluated again"})
        (change.folder / CARD).write_text("another card")
        gates = json.loads((begun.bundle / GATES).read_bytes())
        write_json(change.folder / GATES, {**gates, "note": "one more"})
    done = begun.run(tmp_path / "run")
    assert done.code == 0 and "going on: 2 of 10" in done.err


def test_a_pool_that_changes_while_it_is_scored_stops_the_run(job, reference, tmp_path):
    run, gate = tmp_path / "run", Gate(tmp_path / "gate")
    shutil.copytree(job.pool, tmp_path / "pool")
    own = Job(job.parent, tmp_path / "pool", job.bundle)
    process = own.start(run, **gate.how)
    wait_for(lambda: entries(run) >= 2)
    before = (own.pool / "a.jsonl").read_bytes()
    edit(own.pool / "a.jsonl")
    gate.open()
    done = process.wait()
    assert done.code == 2 and "a.jsonl: changed while it was read" in done.err
    had = entries(run)
    assert had <= 3 and job.parent.run("verify", run, "--check").code == 0
    refused(own, run, "pool.a.jsonl differs")
    (own.pool / "a.jsonl").write_bytes(before)
    assert own.run(run).code == 0
    mine, theirs = contents(run), contents(reference)
    assert {n: c for n, c in mine.items() if n.startswith(("chunks", "set"))} == {
        n: c for n, c in theirs.items() if n.startswith(("chunks", "set"))
    }


def change_while_planning(path):
    """Change a file of the pool after it was cut into chunks."""
    from pathlib import Path

    from scar.serving import job

    cut = job.cut

    def cut_and_change(*arguments):
        found = cut(*arguments)
        append(Path(path))
        return found

    job.cut = cut_and_change


def test_a_pool_that_changes_while_it_is_planned_is_no_plan(job, tmp_path):
    shutil.copytree(job.pool, tmp_path / "pool")
    own = Job(job.parent, tmp_path / "pool", job.bundle)
    how = {
        "before": "tests.faults.test_inputs:change_while_planning",
        "given": {"path": str(own.pool / "a.jsonl")},
    }
    done = own.run(tmp_path / "run", **how)
    assert done.code == 2 and "a.jsonl: changed while it was read" in done.err
    assert not (tmp_path / "run" / "plan.json").exists()
    assert own.run(tmp_path / "run").code == 0


def test_a_lost_plan_is_written_anew_and_what_is_done_stays(job, reference, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    (run / "plan.json").write_bytes((run / "plan.json").read_bytes()[:-20])
    assert "remove it, and the same `scar score`" in refused(job, run, "plan.json: damaged").err
    (run / "plan.json").unlink()
    other = job.run(run, "--chunk-rows", 4)
    assert other.code == 2 and "chunks of another run" in other.err
    assert job.run(run).code == 0
    assert_invariant(job, run, reference)

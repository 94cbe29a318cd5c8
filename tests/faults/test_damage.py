"""Damage on the disk: found by its name, and just that chunk is made anew, to the same bytes."""

import json
import shutil
import signal

import pytest

from scar.runs import PLAN, RUN, SET_ASIDE
from tests.faults.pools import Job, assert_invariant, contents, counted
from tests.faults.test_kills import stamps
from tests.faults.test_signals import left_over

CHUNK = 1
"""One that has set-aside rows."""


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_last(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


def replace(path):
    neighbour = path.with_name(path.name.replace(f"{CHUNK:08d}", f"{CHUNK + 1:08d}"))
    shutil.copy(neighbour, path)


SCORES, ASIDE = f"chunks/{CHUNK:08d}.parquet", f"set_aside/{CHUNK:08d}.jsonl"
ENTRY, VECTORS = f"ledger/{CHUNK:08d}.json", f"embeddings/{CHUNK:08d}.npy"
HARMS = [
    *((SCORES, harm) for harm in (cut, flip, flip_last, empty, delete, replace)),
    *((ASIDE, harm) for harm in (cut, flip, empty, delete, replace)),
    *((ENTRY, harm) for harm in (cut, flip, flip_last, empty, delete, replace)),
    *((VECTORS, harm) for harm in (cut, flip_last, delete, replace)),
]


@pytest.fixture(scope="module")
def job(embedding_job):
    """One whose chunks have all the files that a chunk can have."""
    return embedding_job


@pytest.fixture(scope="module")
def reference(embedding_reference):
    """That run, undisturbed."""
    return embedding_reference


@pytest.fixture
def run(reference, tmp_path):
    """A finished run."""
    return shutil.copytree(reference, tmp_path / "run")


@pytest.mark.parametrize(("name", "harm"), HARMS, ids=lambda each: getattr(each, "__name__", each))
def test_a_damaged_chunk_is_named_and_made_anew_alone(job, reference, run, name, harm):
    before = (run / name).read_bytes()
    harm(run / name)
    assert not (run / name).exists() or (run / name).read_bytes() != before
    had, damaged = stamps(run), contents(run)
    checked = job.parent.run("verify", run, "--check")
    assert checked.code == 1 and f"chunk {CHUNK}: {name}" in checked.out and "1 damaged" in checked.out
    assert contents(run) == damaged
    mended = job.parent.run("verify", run)
    assert mended.code == 0 and "made anew 5 rows; the run is whole" in mended.out, mended
    after = stamps(run)
    assert [index for index in after if after[index] != had.get(index)] == [f"{CHUNK:08d}.json"]
    assert_invariant(job, run, reference)


@pytest.mark.parametrize("name", [SET_ASIDE, RUN])
@pytest.mark.parametrize("harm", [cut, flip, empty, delete], ids=lambda harm: harm.__name__)
def test_what_was_joined_at_the_end_is_joined_again(job, reference, run, name, harm, tmp_path):
    if (name, harm) == (RUN, delete):
        pytest.skip("a run without run.json is one that did not finish")
    harm(run / name)
    had = stamps(run)
    checked = job.parent.run("verify", run, "--check")
    assert checked.code == 1 and "the end: " in checked.out and name in checked.out
    mended = job.parent.run("verify", run)
    assert mended.code == 0 and "the run is whole" in mended.out, mended
    assert stamps(run) == had
    assert_invariant(job, run, reference)


def test_a_damaged_run_json_is_told_by_whoever_reads_it(job, run):
    empty(run / RUN)
    done = job.run(run)
    assert done.code == 2 and "run.json: damaged" in done.err and f"`scar verify {run}`" in done.err


def test_several_damaged_chunks_are_all_named_and_made_anew(job, reference, run):
    for index, harm in enumerate((cut, flip, delete)):
        harm(run / f"chunks/{index:08d}.parquet")
    cut(run / "ledger/00000007.json")
    checked = job.parent.run("verify", run, "--check")
    assert checked.code == 1 and [f"chunk {n}:" in checked.out for n in range(10)] == [
        n in (0, 1, 2, 7) for n in range(10)
    ]
    assert job.parent.run("verify", run).code == 0
    assert_invariant(job, run, reference)


@pytest.mark.parametrize("harm", [cut, flip, empty], ids=lambda harm: harm.__name__)
def test_a_damaged_plan_is_told_and_nothing_is_touched(job, run, harm):
    harm(run / PLAN)
    before = contents(run)
    for words in (
        ("verify", run),
        ("verify", run, "--check"),
        ("status", run),
        ("gather", run),
        ("select", run, "--top", 3, "--out", run.parent / "kept.jsonl"),
    ):
        done = job.parent.run(*words)
        assert done.code == 2 and f"{PLAN}: damaged" in done.err and "Traceback" not in done.err
    assert contents(run) == before


def test_a_plan_that_is_not_there_is_told(job, run):
    (run / PLAN).unlink()
    done = job.parent.run("verify", run)
    assert done.code == 2 and f"{PLAN}: missing" in done.err


def test_damage_of_an_unfinished_run_is_taken_out_and_done_with_the_rest(job, reference, run):
    for name in (RUN, SET_ASIDE, "ledger/00000002.json"):
        (run / name).unlink()
    flip(run / f"chunks/{CHUNK:08d}.parquet")
    checked = job.parent.run("verify", run, "--check")
    assert checked.code == 1 and "1 not done yet, 1 damaged" in checked.out
    mended = job.parent.run("verify", run)
    assert mended.code == 0 and "the same scar score goes on" in mended.out
    assert job.parent.run("verify", run, "--check").code == 0
    assert "going on: 8 of 10" in job.run(run).err
    assert_invariant(job, run, reference)


def test_a_kill_in_a_repair_is_repaired(job, reference, run):
    cut(run / SCORES)
    steps = [("scar.runs.folder:Path.unlink", nth) for nth in range(1, 6)]  # what is taken out
    steps += [("scar.files:os.replace", nth) for nth in range(1, 6)]  # what is made anew
    for step, nth in steps:
        given = {"steps": [step], "nth": nth}
        done = job.parent.run("verify", run, before="tests.faults.kills:kill_at", given=given)
        assert done.code == -signal.SIGKILL, (step, nth)
        # Nobody takes a run for finished that lacks a file.
        assert not (run / RUN).exists() or all((run / name).exists() for name in (SCORES, ASIDE, VECTORS))
    assert not (run / RUN).exists() and job.run(run).code == 0
    assert_invariant(job, run, reference)


@pytest.mark.parametrize("what", ["pool", "ranker"])
def test_what_cannot_be_made_anew_is_left_as_it_is(job, tmp_path, what):
    run, places = tmp_path / "run", {"pool": tmp_path / "pool", "ranker": tmp_path / "bundle"}
    shutil.copytree(job.pool, places["pool"])
    shutil.copytree(job.bundle, places["ranker"])
    assert Job(job.parent, places["pool"], places["ranker"], flags=job.flags).run(run).code == 0
    places[what].rename(tmp_path / "moved")
    cut(run / f"chunks/{CHUNK:08d}.parquet")
    before = contents(run) | {RUN: (run / RUN).read_bytes()}
    done = job.parent.run("verify", run)
    assert done.code == 2 and "cannot be made anew" in done.err and str(places[what]) in done.err
    assert contents(run) | {RUN: (run / RUN).read_bytes()} == before and left_over(run) == []
    (tmp_path / "moved").rename(places[what])
    assert job.parent.run("verify", run).code == 0


def test_what_is_cut_in_size_is_noticed_by_a_resume_too(job, reference, run):
    (run / RUN).unlink()
    cut(run / SCORES)
    flip(run / "ledger/00000003.json")
    cut(run / "embeddings/00000005.npy")
    cut(run / "set_aside/00000000.jsonl")
    assert "going on: 6 of 10" in job.run(run).err
    assert_invariant(job, run, reference)


def test_an_entry_that_counts_otherwise_is_damage(job, run):
    """No sum tells that tokens were counted otherwise: the entry's own checksum does."""
    path = run / f"ledger/{CHUNK:08d}.json"
    said = json.loads(path.read_bytes())
    text = path.read_text().replace(f'"tokens": {said["tokens"]}', f'"tokens": {said["tokens"] + 1}')
    path.write_text(text)
    before = counted(run)
    assert f"chunk {CHUNK}: ledger" in job.parent.run("verify", run, "--check").out
    assert job.parent.run("verify", run).code == 0
    assert counted(run) == before

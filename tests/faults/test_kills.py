"""SIGKILL at any moment: the same command goes on, and its output is that of a run that nothing disturbed."""

import os
import random
import signal
import time

import pytest

from scar.runs import PLAN, RUN, SET_ASIDE
from tests.faults.pools import assert_invariant, entries, is_temp, wait_for

UNDER_WAY = 1
"""Chunks that one process commits at a time: those before have their entries, those after have no file yet."""


def stamps(run):
    """Give the time at which each chunk's entry was written."""
    folder = run / "ledger"
    there = folder.iterdir() if folder.is_dir() else ()
    return {each.name: each.stat().st_mtime_ns for each in there if not is_temp(each.name)}


def killed(job, run, steps, nth, code=-signal.SIGKILL, *more):
    """Run until it kills itself at a step; give the entries that it left."""
    done = job.run(run, *more, before="tests.faults.kills:kill_at", given={"steps": steps, "nth": nth})
    assert done.code == code, done
    return stamps(run)


def resumed(job, run, reference, had, *more):
    """Go on to the end, and look at all that must hold."""
    done = job.run(run, *more)
    assert done.code == 0, done
    after = stamps(run)
    assert [name for name in had if after[name] != had[name]] == []  # nothing that was done is done again
    assert_invariant(job, run, reference)
    return done


ATOMIC, COMMIT = "scar.files:os.replace", "scar.serving.session:commit"
POINTS = {
    "the first rename, of what the inputs looked like": ([ATOMIC], 1),
    "the plan is written, but not renamed": ([ATOMIC], 2),
    "the plan is there, and nothing else": ([f"{ATOMIC} after"], 2),
    "a chunk's scores are written, but not renamed": ([ATOMIC], 3),
    "between the scores' rename and the set-aside rows": ([f"{ATOMIC} after"], 3 + 3 * 4),
    "between the set-aside rows' rename and the entry": ([f"{ATOMIC} after"], 4 + 3 * 4),
    "the entry is written, but not renamed": ([ATOMIC], 5 + 3 * 4),
    "between a rename and the folder's fsync": (["scar.files:sync_folder"], 4 + 3 * 5),
    "the last entry": ([ATOMIC], 2 + 3 * 10),
    "before the join of the set-aside rows": (["scar.serving.run:join_set_aside"], 1),
    "the joined rows are not renamed": ([ATOMIC], 3 + 3 * 10),
    "before run.json": ([f"{ATOMIC} after"], 3 + 3 * 10),
    "run.json is written, but not renamed": ([ATOMIC], 4 + 3 * 10),
    "planning": (["scar.serving.job:cut"], 1),
    "the pool is hashed": (["scar.serving.job:cut after"], 1),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_an_exact_step_loses_nothing(job, reference, tmp_path, point):
    run = tmp_path / "run"
    had = killed(job, run, *POINTS[point])
    assert not (run / RUN).exists()
    resumed(job, run, reference, had)


def test_at_most_the_chunk_under_way_is_done_again(job, reference, tmp_path):
    run = tmp_path / "run"
    had = killed(job, run, [f"{ATOMIC} after"], 4 + 3 * 4)
    chunks = {path.name for path in (run / "chunks").iterdir() if not is_temp(path.name)}
    assert len(had) == 4 and len(chunks) == 4 + UNDER_WAY
    done = resumed(job, run, reference, had)
    assert "going on: 4 of 10 chunks are done" in done.err
    assert "did not end well; taken over" in done.err


def test_a_kill_while_an_old_run_is_cleared_leaves_one_that_can_be_cleared(job, reference, tmp_path):
    run = tmp_path / "run"
    for nth in (1, 15, 30, 31):  # run.json, an entry or chunk, how the inputs looked, plan.json
        assert job.run(run, "--chunk-rows", 7, "--overwrite").code == 0
        killed(job, run, ["scar.runs.folder:Path.unlink"], nth, -signal.SIGKILL, "--overwrite")
        assert (run / RUN).exists() == (nth == 1)  # nobody takes what is left of it for a finished run
        refused = job.run(run)
        assert refused.code == 2 and "chunk_rows differs" in refused.err or not (run / PLAN).exists()
        resumed(job, run, reference, {}, "--overwrite")


def test_an_overwritten_run_is_never_finished_by_the_old_one_s_mark(job, reference, tmp_path):
    run = tmp_path / "run"
    assert job.run(run).code == 0
    had = killed(job, run, [ATOMIC], 2 + 3, -signal.SIGKILL, "--overwrite")
    assert not (run / RUN).exists() and not (run / SET_ASIDE).exists()
    resumed(job, run, reference, had)


EMBEDDED = {
    "the embeddings are written, but not renamed": ([ATOMIC], 5 + 4 * 4),
    "between the embeddings' rename and the entry": ([f"{ATOMIC} after"], 5 + 4 * 4),
}


@pytest.mark.parametrize("point", EMBEDDED)
def test_a_kill_beside_embeddings_loses_nothing(embedding_job, embedding_reference, tmp_path, point):
    steps, nth = EMBEDDED[point]
    run = tmp_path / "run"
    had = killed(embedding_job, run, steps, nth)
    there = [path.name for path in (run / "embeddings").iterdir() if not is_temp(path.name)]
    assert len(had) == 4 and len(there) == 4 + ("after" in steps[0])
    resumed(embedding_job, run, embedding_reference, had)


def test_several_kills_in_a_row(job, reference, tmp_path):
    run, had = tmp_path / "run", {}
    for nth in (2, 5, 3, 7, 6, 9, 4):
        had |= killed(job, run, [ATOMIC], nth)
    resumed(job, run, reference, had)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_kill_at_a_random_moment_of_200_chunks_loses_nothing(long_job, long_reference, tmp_path, seed):
    run, draw = tmp_path / "run", random.Random(seed)
    process = long_job.start(run)
    if seed % 4:
        wait_for(lambda: entries(run) >= draw.randrange(1, 190) or process.poll() is not None)
        time.sleep(draw.random() * 0.02)
    else:
        time.sleep(draw.random() * 1.2)  # planning and loading too
    process.send(signal.SIGKILL)
    assert process.wait().code in (-signal.SIGKILL, 0)
    had = stamps(run)
    chunks = [path for path in run.glob("chunks/*") if not is_temp(path.name)]
    assert len(chunks) <= len(had) + UNDER_WAY
    resumed(long_job, run, long_reference, had)


def test_a_kill_without_any_grace_is_what_happens(job, tmp_path):
    """The tests above would show nothing if their processes had time to clean up."""
    run = tmp_path / "run"
    killed(job, run, [ATOMIC], 3 + 3 * 4)
    assert [path.name for path in (run / "chunks").iterdir() if is_temp(path.name)] == [
        ".00000004.parquet.tmp"
    ]
    assert (run / ".lock").read_text() and os.path.getsize(run / ".lock") > 10

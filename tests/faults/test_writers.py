"""Whoever else writes: killed at every step, the reader sees the old output, the new one, or none, and no half."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from scar.bundle import CARD, EVALUATION, GATES, RANKER, Bundle, changing, new_bundle
from scar.change import PENDING
from scar.errors import InputError
from scar.files import write_json
from scar.selection.why import KeptFolder
from scar.tiers.join import join
from tests.faults.processes import ROOT
from tests.faults.test_kills import ATOMIC
from tests.tiers.test_join import ROW, rounds


def in_child(deed, *arguments):
    """Do something in a process of its own; gives its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            deed(*arguments)
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


CALLS = ("replace", "unlink", "fsync", "rename", "rmdir", "mkdir")


def kill_at_call(nth, deed):
    """Do a deed, and die before the nth call that changes the disk."""
    count = 0

    def counted(real):
        def call(*arguments, **more):
            nonlocal count
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return call

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    deed()


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def change(folder):
    """Put a file in, replace two, take one out."""
    with changing(Bundle.open(folder)) as new:
        new.removed.add(GATES)
        (new.folder / CARD).write_text("the new card")
        write_json(new.folder / EVALUATION, {"new": True})
        write_json(new.folder / RANKER, {**Bundle.open(folder).ranker, "note": "new"})


@pytest.fixture
def own(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "own")


def test_a_change_of_a_bundle_that_is_killed_at_any_step_is_all_or_nothing(bundle, tmp_path):
    old = files_of(bundle)
    whole = shutil.copytree(bundle, tmp_path / "whole")
    change(whole)
    new, seen, nth, code = files_of(whole), [], 0, None
    assert new != old and GATES not in new
    while code != 0:
        nth += 1
        own = shutil.copytree(bundle, tmp_path / f"own{nth}")
        code = in_child(kill_at_call, nth, lambda folder=own: change(folder))
        Bundle.open(own)
        assert files_of(own) in (old, new), (nth, sorted(files_of(own)))
        seen.append(files_of(own) == new)
        change(own)  # nothing stands in the way of the next one
        assert (
            files_of(own) == new and [path.name for path in own.iterdir() if path.name.startswith(".")] == []
        )
        shutil.rmtree(own)
    assert seen.index(True) > 5 and seen == sorted(seen)  # first the old one, from one step on the new one
    assert sum(seen) > 5  # and that step is not the last


def test_a_change_that_was_cut_short_is_ended_by_the_next_reader(bundle, tmp_path):
    own = _cut_short(bundle, tmp_path / "own")
    assert (own / PENDING / RANKER).exists() or Bundle.open(own).ranker["note"] == "new"
    opened = Bundle.open(own)
    assert opened.ranker["note"] == "new" and not opened.has(GATES) and not (own / GATES).exists()
    assert (own / CARD).read_text() == "the new card" and not (own / PENDING).exists()


def test_a_reader_that_may_not_write_says_so(bundle, tmp_path):
    from tests.faults.disks import small_disk

    with small_disk(tmp_path / "disk", 1 << 24) as disk:
        own = _cut_short(bundle, disk.path / "own")
        disk.remount("ro")
        with pytest.raises(InputError, match="a change of it was cut short"):
            Bundle.open(own)
        disk.remount("rw")
        assert Bundle.open(own).ranker["note"] == "new" and not (own / PENDING).exists()


def _cut_short(bundle, own):
    """Leave a change that was marked, and not made."""
    for nth in range(1, 200):
        shutil.copytree(bundle, own)
        assert in_child(kill_at_call, nth, lambda: change(own)) != 0
        if (own / PENDING).exists():
            return own
        shutil.rmtree(own)
    raise AssertionError("no step between the mark and the end")


READER = """
import sys, time
from scar.bundle import Bundle
end, count = time.time() + 3, 0
while time.time() < end:
    Bundle.open(sys.argv[1])
    count += 1
print(count)
"""


def test_readers_and_writers_at_the_same_time_see_whole_bundles(own):
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, own], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    changes = 0
    while any(each.poll() is None for each in readers):
        with changing(Bundle.open(own)) as new:
            write_json(new.folder / EVALUATION, {"n": changes})
            (new.folder / CARD).write_text(f"card {changes}")
        changes += 1
    for each in readers:
        out, err = each.communicate()
        assert err == b"" and int(out) > 5, err
    assert changes > 5


def test_two_changes_at_once_both_stand(own):
    with changing(Bundle.open(own)) as first:
        (first.folder / CARD).write_text("first")
        with changing(Bundle.open(own)) as second:
            write_json(second.folder / EVALUATION, {"second": True})
    assert (own / CARD).read_text() == "first" and json.loads((own / EVALUATION).read_bytes()) == {
        "second": True
    }
    Bundle.open(own)


def replace_bundle(source, folder):
    with new_bundle(folder, overwrite=True) as new:
        for path in source.iterdir():
            if path.is_file():
                shutil.copyfile(path, new / path.name)


def test_a_bundle_that_is_replaced_is_the_old_or_the_new_one_at_every_step(bundle, tmp_path):
    source = shutil.copytree(bundle, tmp_path / "source")
    change(source)
    old, new = files_of(bundle), files_of(source)
    seen, nth, code = [], 0, None
    while code != 0:
        nth += 1
        room = tmp_path / f"room{nth}"
        own = shutil.copytree(bundle, room / "own")
        code = in_child(kill_at_call, nth, lambda own=own: replace_bundle(source, own))
        Bundle.open(own)
        assert files_of(own) in (old, new)
        seen.append(files_of(own) == new)
        replace_bundle(source, own)
        assert files_of(own) == new and [path.name for path in room.iterdir()] == ["own"]
        shutil.rmtree(room)
    assert seen == sorted(seen) and seen[0] is False and seen[-1] is True


def test_a_new_bundle_is_whole_or_not_there(bundle, tmp_path):
    nth, code = 0, None
    while code != 0:
        nth += 1
        room = tmp_path / f"room{nth}"
        room.mkdir()
        code = in_child(kill_at_call, nth, lambda own=room / "own": replace_bundle(bundle, own))
        if (room / "own").exists():
            assert files_of(Bundle.open(room / "own").path) == files_of(bundle)
        replace_bundle(bundle, room / "own")
        assert [path.name for path in room.iterdir()] == ["own"]
        shutil.rmtree(room)
    assert nth > 5


def test_where_folders_cannot_change_places_the_old_one_comes_back(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("scar.folders._exchange", lambda a, b: False)
    source = shutil.copytree(bundle, tmp_path / "source")
    change(source)
    nth, code, gone = 0, None, 0
    while code != 0:
        nth += 1
        room = tmp_path / f"room{nth}"
        own = shutil.copytree(bundle, room / "own")
        code = in_child(kill_at_call, nth, lambda own=own: replace_bundle(source, own))
        gone += not own.exists()
        with pytest.raises(InputError, match="exists; --overwrite"), new_bundle(own, overwrite=False):
            pass
        assert files_of(Bundle.open(own).path) in (files_of(bundle), files_of(source))
        shutil.rmtree(room)
    assert gone == 1


EXCHANGE = "scar.folders:_exchange"


@pytest.mark.parametrize(("name", "more"), [("kept.jsonl", ()), ("kept.jsonl.zst", ("--sort",))])
def test_a_selection_that_is_killed_leaves_the_old_file_or_none(job, reference, tmp_path, name, more):
    """Its folder is put in place before it: what is there without the other is told, and selected again."""
    out, beside = tmp_path / name, tmp_path / f"{name}.why"
    fresh = ("select", reference, "--ratio", 0.5, "--out", out, *more)
    again = ("select", reference, "--top", 3, "--out", out, "--overwrite", *more)

    def killed(words, step, nth):
        given = {"steps": [step], "nth": nth}
        assert (
            job.parent.run(*words, before="tests.faults.kills:kill_at", given=given).code == -signal.SIGKILL
        )
        return {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}

    def whole(words):
        assert job.parent.run(*words).code == 0
        assert {path.name for path in tmp_path.iterdir()} == {name, beside.name}
        return KeptFolder.open(out), out.read_bytes()

    assert killed(fresh, "scar.selection.writing:write_lines", 1) == set()
    assert killed(fresh, ATOMIC, 1) == set()  # the manifest, then the folder, then the kept file
    assert killed(fresh, ATOMIC, 2) == set()
    assert killed(fresh, ATOMIC, 3) == {beside.name}
    with pytest.raises(InputError, match="no such file"):
        KeptFolder.open(out)
    opened, old = whole(fresh)
    for step, nth in ((ATOMIC, 1), (EXCHANGE, 1)):
        assert killed(again, step, nth) == {name, beside.name}
        assert out.read_bytes() == old and KeptFolder.open(out) == opened
    assert killed(again, ATOMIC, 2) == {name, beside.name} and out.read_bytes() == old
    with pytest.raises(InputError, match="not the file that was selected; select again with --overwrite"):
        KeptFolder.open(out)
    assert whole(again)[1] != old


def test_a_filter_that_is_killed_goes_on(job, reference, tmp_path):
    out, alone = tmp_path / "kept.jsonl", tmp_path / "alone" / "kept.jsonl"
    alone.parent.mkdir()
    words = job.words(out, "--top", 20, command="filter")
    for nth in (3, 17, 34, 37):
        done = job.parent.run(
            *words, before="tests.faults.kills:kill_at", given={"steps": [ATOMIC], "nth": nth}
        )
        if done.code == 0:
            break
        assert done.code == -signal.SIGKILL and not out.exists()
    assert out.exists() or job.parent.run(*words).code == 0
    assert job.parent.run(*job.words(alone, "--top", 20, command="filter")).code == 0
    assert out.read_bytes() == alone.read_bytes()


def test_a_join_of_replies_that_is_killed_at_any_step_leaves_the_old_tiers_or_the_new(tmp_path):
    where, replies = rounds(tmp_path, [ROW, ROW | {"id": "b", "response": "no"}, ROW])
    out, side = tmp_path / "own" / "tiers.jsonl", tmp_path / "own" / "tiers.jsonl.missing.jsonl"
    out.parent.mkdir()
    join(where, replies[:1], out)
    old = out.read_bytes(), side.read_bytes()
    join(where, replies, out, overwrite=True)
    new = out.read_bytes(), side.read_bytes()
    assert old[0] != new[0] and old[1] != new[1]
    for before in (old, (None, None)):
        seen, nth, code = [], 0, None
        while code != 0:
            nth += 1
            for path, content in zip((out, side), before, strict=True):
                path.unlink(missing_ok=True)
                if content is not None:
                    path.write_bytes(content)
            code = in_child(kill_at_call, nth, lambda: join(where, replies, out, overwrite=True))
            there = tuple(path.read_bytes() if path.exists() else None for path in (out, side))
            assert there in (before, (before[0], new[1]), new), nth  # the tiers file comes last
            seen.append(there == new)
        assert seen == sorted(seen) and seen[0] is False and nth > 5
        assert {path.name for path in out.parent.iterdir()} == {out.name, side.name}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "export", "calibrate", "gate"])
def test_commands_that_write_bundles_are_killed_at_any_time(
    bundle, quality_bundle, settings, tmp_path, command
):
    """Real commands, killed at moments spread over the time that they take."""
    from tests.make import labelled_rows, tier_rows, write_jsonl

    tiers = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(20, source="made"))
    rows = write_jsonl(tmp_path / "rows.jsonl", labelled_rows(40))
    out = tmp_path / "room" / "own"
    out.parent.mkdir()
    words = {
        "train": [
            "train",
            "style",
            "--data",
            tiers,
            "--out",
            out,
            "--encoder",
            settings.encoder,
            "--epochs",
            1,
            "--max_tokens",
            32,
        ],
        "export": ["export", out, "--graphs", "reference"],
        "calibrate": ["calibrate", out, "--labels", rows],
        "gate": ["gate", out, "--rows", rows, "--engine", "onnxruntime"],
    }[command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "scar", *map(str, words)],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def fresh():
        shutil.rmtree(out.parent)
        out.parent.mkdir()
        if command != "train":
            shutil.copytree(quality_bundle if command == "calibrate" else bundle, out)

    fresh()
    began = time.monotonic()
    assert start().wait(120) == 0
    took = time.monotonic() - began
    fresh()
    for share in (0.7, 0.92, 0.98):
        process = start()
        time.sleep(took * share)
        process.kill()
        process.wait()
        if out.exists():
            Bundle.open(out)
        if command == "train" and out.exists():
            fresh()
    if command == "train" and out.exists():
        fresh()
    assert start().wait(120) == 0
    Bundle.open(out)
    hidden = [path.name for path in (*out.parent.iterdir(), *out.iterdir()) if path.name.startswith(".")]
    assert hidden == []

"""Power loss at every call: what was synced is there, what was not may be; the same command goes on from any of it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from scar import folders
from scar.bundle import CARD, MANIFEST, Bundle, changing
from scar.change import PENDING
from tests.faults.pools import assert_invariant
from tests.faults.power import calls_of, rebuild, states

ROOMS = ("run/chunks", "run/embeddings", "run/ledger", "run/set_aside")


@pytest.fixture(scope="module")
def short(embedding_job):
    """A run of three chunks."""
    return replace(embedding_job, chunk_rows=20)


@pytest.fixture(scope="module")
def undisturbed(short, tmp_path_factory):
    run = tmp_path_factory.mktemp("short") / "disk" / "run"
    assert short.run(run).code == 0
    return run


def recorded(short, folder, *more, forget=()):
    """Run on a disk of its own, and write down what was done to it."""
    root, log = folder / "disk", folder / "log"
    root.mkdir(exist_ok=True)
    given = {"root": str(root), "log": str(log), "forget": list(forget)}
    assert short.run(root / "run", *more, before="tests.faults.power:record", given=given).code == 0
    return log


def goes_on(short, state, folder, reference):
    """Tell whether a run goes on from a state of the disk to the same output."""
    root = folder / "again"
    shutil.rmtree(root, ignore_errors=True)
    rebuild(state, root)
    done = short.run(root / "run")
    if done.code != 0:
        print(done)  # noqa: T201  shown where a test fails
        return False
    try:
        assert_invariant(short, root / "run", reference)
    except AssertionError as error:
        print(error)  # noqa: T201
        return False
    return True


def test_every_name_is_synced_after_its_bytes_and_before_what_relies_on_it(short, tmp_path):
    calls = [tuple(call) for call in calls_of(recorded(short, tmp_path))]
    renames = [(n, call) for n, call in enumerate(calls) if call[0] == "rename"]
    assert [call[2] for _, call in renames][:2] == ["run/.inputs.json", "run/plan.json"]
    assert [call[2] for _, call in renames][-2:] == ["run/set_aside.jsonl", "run/run.json"]
    assert len(renames) == 4 + 4 * 3
    for number, (_, old, new, _) in renames:
        assert any(call[:2] == ("fsync", old) for call in calls[:number])
        assert calls[number + 1][:2] == ("fsync folder", new.rpartition("/")[0])
    made = [(n, call[1]) for n, call in enumerate(calls) if call[0] == "mkdir"]
    done = next(n for n, call in renames if call[2].startswith("run/ledger/"))
    assert [name for _, name in made] == [
        "run",
        "run/chunks",
        "run/set_aside",
        "run/ledger",
        "run/embeddings",
    ]
    for number, name in made:  # an entry is no promise where its folder may be lost
        assert ("fsync folder", os.path.dirname(name) or ".") in calls[number:done]
    order = [call[2].removeprefix("run/").partition("/")[0] for _, call in renames[2:-2]]
    assert order == ["chunks", "set_aside", "embeddings", "ledger"] * 3


def test_a_run_goes_on_from_states_that_a_power_loss_leaves(short, undisturbed, tmp_path):
    found = list(states(recorded(short, tmp_path)))
    assert len(found) > 40
    for number, state in found[:: max(1, len(found) // 8)]:
        assert goes_on(short, state, tmp_path, undisturbed), (number, sorted(state))


@pytest.mark.slow
def test_a_run_goes_on_from_every_state_that_a_power_loss_leaves(short, undisturbed, tmp_path):
    for number, state in states(recorded(short, tmp_path)):
        assert goes_on(short, state, tmp_path, undisturbed), (number, sorted(state))


@pytest.mark.slow
def test_an_overwritten_run_goes_on_from_states_that_a_power_loss_leaves(short, undisturbed, tmp_path):
    """The old run's files and its mark of being finished must not come back to the new one."""
    root = tmp_path / "disk" / "run"
    assert short.run(root, "--chunk-rows", 9).code == 0
    for number, state in list(states(*recorded_over(short, tmp_path)))[::4]:
        again = tmp_path / "again"
        shutil.rmtree(again, ignore_errors=True)
        rebuild(state, again)
        assert short.run(again / "run", "--overwrite").code == 0, (number, sorted(state))
        assert_invariant(short, again / "run", undisturbed)


def recorded_over(short, folder):
    """Write down an `--overwrite`, beginning with the files that were there."""
    from tests.faults import power

    root, log = folder / "disk", folder / "log"
    kept = folder / "log.bytes"
    kept.mkdir()
    lines = []
    for number, path in enumerate(sorted(root.rglob("*"))):
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            lines += [["mkdir", name]]
        else:
            (kept / f"old{number}").write_bytes(path.read_bytes())
            lines += [["create", name], ["fsync", name, f"old{number}"]]
    lines += [["fsync folder", each] for each in (".", "run", *ROOMS)]
    log.write_text("".join(power.json.dumps(line) + "\n" for line in lines))
    recorded(short, folder, "--overwrite")
    return log, len(lines)


@pytest.mark.parametrize("forget", ["file", "folder"])
def test_a_program_that_does_not_sync_would_be_found_out(short, undisturbed, tmp_path, forget):
    log = recorded(short, tmp_path, forget=[forget])
    found = list(states(log))
    assert not all(goes_on(short, state, tmp_path, undisturbed) for _, state in reversed(found))


@pytest.fixture
def watch(monkeypatch):
    """Every sync and every change of a name, in order, as ("sync" or "name", path)."""
    calls, fsync, replace, exchange = [], os.fsync, os.replace, folders._exchange

    def synced(handle):
        calls.append(("sync", Path(os.readlink(f"/proc/self/fd/{handle}"))))
        fsync(handle)

    def named(old, new):
        calls.append(("name", Path(new)))
        replace(old, new)

    def exchanged(a, b):
        calls.append(("name", b))
        return exchange(a, b)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    monkeypatch.setattr(folders, "_exchange", exchanged)
    return calls


def test_all_that_a_folder_holds_is_durable_before_its_name_and_its_name_too(watch, tmp_path):
    out = tmp_path / "out"
    for _ in ("a new one", "in the place of another"):
        watch.clear()
        with folders.new_folder(out, overwrite=True) as new:
            (new / "inner").mkdir()
            for name in ("a", "inner/b"):
                (new / name).write_bytes(b"not synced by its writer")
        at = watch.index(("name", out))
        assert {path for _, path in watch[:at]} >= {new, new / "a", new / "inner", new / "inner/b"}
        assert watch[at + 1] == ("sync", tmp_path)


def test_a_change_of_a_bundle_is_durable_step_by_step(watch, bundle, tmp_path):
    own = shutil.copytree(bundle, tmp_path / "own")
    with changing(Bundle.open(own)) as change:
        (change.folder / CARD).write_text("not synced by its writer")
        staged = change.folder
    names = [at for at, (what, _) in enumerate(watch) if what == "name"]
    mark, moved, last = (watch.index(("name", own / name)) for name in (PENDING, CARD, MANIFEST))
    assert names[-3:] == [mark, moved, last]
    assert {path for _, path in watch[:mark]} >= {staged, staged / CARD, staged / MANIFEST}
    assert all(watch[at + 1] == ("sync", own) for at in (mark, moved, last))

"""Settle what a run will do: the plan that stands in its folder, where it is the same run, or a new one."""

import json
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any, Literal

from scar.errors import InputError
from scar.runs import (
    INPUTS,
    LEDGER,
    LOCK,
    PASSING,
    PLAN,
    RUN,
    SET_ASIDE,
    Folder,
    Plan,
    entry_name,
    finished,
)
from scar.runs.checked import checked, read_checked
from scar.runs.folder import ALL_ROOMS
from scar.runs.names import half_written, of_a_chunk
from scar.runs.plan import read_of
from scar.serving.job import RANKERS, Job
from scar.serving.ledger import done
from scar.settings import Reading, Scoring

Existing = Literal["resume", "resume kept", "replace", "replace another"]
"""What becomes of a run that stands in the folder: it goes on or is finished; so, and no flag replaces it; it goes; it
goes if it is another."""


def check_run(folder: Folder) -> None:
    """Refuse what cannot become a run folder, before anything long is done."""
    there = folder.names() or set()
    if PLAN in there:
        Plan.read(folder)
    elif not _is_ours(folder, there):
        raise InputError(f"{folder.place} is not empty and not a run of `scar score`: choose another --out")


def _is_ours(folder: Folder, there: Set[str]) -> bool:
    """Tell whether a folder without a plan holds no more than a run of ours can have left.

    Before the first plan that is a lock and empty folders; where a plan was lost, what some entry stands for.
    """
    files = [name for room in ALL_ROOMS if room in there for name in folder.listing(room)]
    done = [name for name in files if not half_written(name.rpartition("/")[2])]
    ended = (RUN, SET_ASIDE) if done else ()
    beside = [name for name in there if not (name.startswith(LOCK) or half_written(name))]
    if not all(name in (*ALL_ROOMS, INPUTS, PASSING, *ended) for name in beside) or not all(
        map(of_a_chunk, done)
    ):
        return False
    return not done or any(map(_is_entry, folder.read_all([n for n in done if n.startswith(LEDGER)])))


def _is_entry(raw: bytes | None) -> bool:
    try:
        return "fingerprint" in read_checked(raw or b"")
    except ValueError:
        return False


def settle(folder: Folder, job: Job, existing: Existing) -> Plan:
    """Give the plan of the run in a folder that is ours to write to, and make the folder ready for it.

    Raises InputError where the folder holds another run, naming the field that differs.
    """
    if PLAN in (folder.names() or ()):
        old = _same(folder, job, _OTHERWISE.get(existing))
        # An unfinished run of the very same job is not begun again: what is done of it is what would come out.
        if old and not (existing == "replace" and finished(folder)):
            folder.prepare(*old.rooms)
            if _inputs(folder) != job.stamps:
                _note_inputs(folder, job)
            return old
        clear(folder)
    plan = job.plan()
    folder.prepare(*plan.rooms)
    if folder.listing(LEDGER) and not done(folder, plan).chunks:
        raise InputError(f"{folder.place} holds chunks of another run, and no {PLAN}: choose another --out")
    folder.remove([RUN, SET_ASIDE])  # of a run whose plan was lost
    _note_inputs(folder, job)
    plan.write(folder)
    return plan


def planned(folder: Folder, job: Job) -> Plan:
    """Give the plan that `scar plan` wrote. Raises InputError where there is none, or that of another run."""
    if PLAN not in (folder.names() or ()):
        raise InputError(
            f"{folder.place}: no plan there; `scar plan` with the same pool, ranker and flags comes first"
        )
    plan = _same(folder, job, "`scar plan --overwrite` begins a run anew, for all its shards")
    assert plan
    return plan


_OTHERWISE: dict[Existing, str] = {
    "resume": "Choose another --out, or --overwrite",
    "resume kept": "Its scores were made to be kept: choose another --out, or remove that folder",
}


def remedy(plan: Plan, field: str) -> str | None:
    """Tell how to go on with a run all the same, where flags or a version are all that differs."""
    kind, _, name = field.partition(".")
    if kind == "versions" and name:
        old = plan.fingerprint[kind].get(name)
        return f"Install {name}=={old}" if old else f"Run it where there is no {name}"
    ranker, _, name = name.rpartition(".")
    if kind != "ranker" or not ranker or len(plan.fingerprint[kind]) > 1:
        return None
    names = {
        "engine": ("engine", "precision"),
        "precision": ("engine", "precision"),
        "batch_tokens": ("batch_tokens",),
    }
    was = plan.fingerprint[kind].get(ranker, {})
    flags = [f"--{each} {was[each]}" for each in names.get(name, ()) if each in was]
    return f"{' '.join(flags)} goes on with it" if flags else None


def _same(folder: Folder, job: Job, otherwise: str | None) -> Plan | None:
    """Give the folder's plan where it is that of this very run, else None.

    With words on what to do `otherwise`, another run is an InputError that names what differs.
    """
    old = Plan.read(folder)
    if RANKERS not in old.fingerprint:
        found: tuple[str, str] | None = ("its maker, a training,", "")
    else:
        found = _other(folder, old, job)
    if found and otherwise:
        goes_on = f"{how}. " if (how := remedy(old, found[0])) else ""
        raise InputError(
            f"{folder.place} holds another run: {found[0]} differs{found[1]}. {goes_on}{otherwise}"
        )
    return None if found else old


def another(folder: Folder, plan: Plan, job: Job) -> str | None:
    """Name the first field in which a job is another run than the one planned, None where it is this very run."""
    found = _other(folder, plan, job)
    return found[0] if found else None


def _other(folder: Folder, plan: Plan, job: Job) -> tuple[str, str] | None:
    """Give the name of that field, and its values where they are short."""
    asked = {"pool": plan.fingerprint.get("pool"), **job.depends()}
    return _difference(plan.fingerprint, asked) or _changed(_inputs(folder), plan, job)


def _changed(seen: Mapping[str, Any], old: Plan, job: Job) -> tuple[str, str] | None:
    """Name the first file of the pool that is not as it was planned, None where all are."""
    if [file.name for file in job.files] != [facts.name for facts in old.files]:
        names = {file.name for file in job.files} ^ {facts.name for facts in old.files}
        return f"pool.{min(names)}" if names else "the order of the pool", ""
    for file, facts in zip(job.files, old.files, strict=True):
        stamp = job.stamps[file.name]
        # A file that was not touched since is not hashed again: pools are large.
        touched = not stamp or seen.get(file.name) != stamp
        if touched and file.facts() != (facts.bytes, facts.sha256):
            return f"pool.{file.name}", ""
    return None


def _inputs(folder: Folder) -> Mapping[str, Any]:
    try:
        return read_checked(read_of(folder, INPUTS, ""))
    except (InputError, ValueError):
        return {}


def _note_inputs(folder: Folder, job: Job) -> None:
    """Only the owner of the whole folder does: shards would be in one another's way."""
    with folder.writing(INPUTS) as stream:
        stream.write(checked(json.dumps(job.stamps, indent=2)))


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Name the first field, as `scoring.batch_tokens`, in which two fingerprints differ."""
    found = _difference(old, new)
    return found[0] if found else None


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> tuple[str, str] | None:
    """Give the name of the first field that differs, and its values where they are short."""
    for name in {**old, **new}:
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if inner := _difference(a, b, f"{path}{name}."):
                return inner
        elif a != b:
            short = max(len(str(a)), len(str(b))) <= SHORT
            return path + name, f" ({a} there, {b} here)" if short else ""
    return None


SHORT = 40
"""Characters of a value that a message holds; hashes are longer."""


def clear(folder: Folder) -> None:
    """Delete what the folder's own plan lists, and nothing else: the mark of a finished run first, the plan last."""
    plan = Plan.read(folder)
    folder.remove([RUN, SET_ASIDE])
    for name in (entry_name, *plan.yields):
        folder.remove(name(chunk.index) for chunk in plan.chunks)
    folder.remove([INPUTS])
    folder.remove([PLAN])


def asked_before(plan: Plan) -> tuple[Reading, Scoring]:
    """Give the settings that a run was begun with. Raises InputError where this version has others."""
    try:
        reading, scoring = plan.settings["reading"], plan.settings["scoring"]
        return Reading(**reading), replace(Scoring(**scoring), carry=tuple(scoring["carry"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the plan's settings are those of another version ({error}): score the pool again"
        ) from None

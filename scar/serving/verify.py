"""Check every checksum and count of a run, and make anew what is damaged."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError, RunError
from scar.pools import Place
from scar.records import Reason
from scar.runs import (
    CHUNKS,
    EMBEDDINGS,
    LEDGER,
    RUN,
    SET_ASIDE,
    Folder,
    Plan,
    data_name,
    embeddings_name,
    entry_name,
    finished,
    open_folder,
    set_aside_name,
)
from scar.runs.embeddings import wrong_part
from scar.serving.job import Job
from scar.serving.ledger import Counts, Entry, digest, done, entries, join_set_aside
from scar.serving.plan import another, asked_before, remedy
from scar.serving.rankers import Rankers
from scar.serving.report import RunReport, Watch, counts_before, finished_before
from scar.serving.run import finish, score_pool

BLOCK = 1 << 20


@dataclass(frozen=True)
class Damage:
    """A chunk that is not what the ledger says, or None for what was joined at the end; and what is wrong."""

    chunk: int | None
    what: str


@dataclass(frozen=True)
class Verified:
    """What a check found."""

    run: str
    good: int
    """Chunks whose checksums and counts are right."""
    missing: int
    """Chunks that are not done yet."""
    damaged: tuple[Damage, ...]
    finished: bool
    strays: tuple[str, ...]
    """Files among the chunks that are none of the plan's: whoever reads that folder as one table reads them too."""
    fingerprint: str
    """Digest of the run that was checked."""


def verify(run: str | Path | Folder) -> Verified:
    """Hash every file of every chunk, and count its rows; nothing is changed.

    Raises InputError where the folder is no run.
    """
    folder = open_folder(run)
    plan = Plan.read(folder)
    begun, ended = folder.listing(LEDGER), finished(folder)
    # Their last step but one was taken: what is missing was there, and whoever made it anew was stopped.
    was_whole = ended or SET_ASIDE in (folder.names() or ())
    total, good, missing, damaged, joined = Counts(), 0, 0, [], hashlib.sha256()
    for index, entry in entries(folder, plan, range(len(plan.chunks))):
        if entry_name(index) not in begun and was_whole:
            damaged.append(Damage(index, f"{entry_name(index)} is missing"))
        elif entry_name(index) not in begun:
            missing += 1
        elif entry is None:
            damaged.append(Damage(index, f"{entry_name(index)} is damaged, or of another run"))
        elif what := _wrong(folder, plan, index, entry, joined):
            damaged.append(Damage(index, what))
        else:
            good += 1
            total.add(entry.counts)
    if ended and not damaged and (what := _wrong_end(folder, total, joined.hexdigest())):
        damaged.append(Damage(None, what))
    strays = _strays(folder, plan)
    return Verified(folder.place, good, missing, tuple(damaged), ended, strays, digest(plan.fingerprint))


def _strays(folder: Folder, plan: Plan) -> tuple[str, ...]:
    ours = {data_name(chunk.index) for chunk in plan.chunks}
    there = folder.listing(CHUNKS).keys() - ours
    # As readers of data sets do; a writer's temp file may be one of a living process.
    return tuple(sorted(name for name in there if not name.rpartition("/")[2].startswith((".", "_"))))


def _wrong(folder: Folder, plan: Plan, index: int, entry: Entry, joined: "hashlib._Hash") -> str | None:
    """Say what is wrong with a chunk; adds its set-aside rows to the hash of what is joined."""
    for name, said in entry.files.items():
        also = joined if name == set_aside_name(index) else None
        if (found := _hash(folder, name, also)) is None:
            return f"{name} is missing"
        if found != said["sha256"]:
            return f"{name} is not what was written: its checksum differs"
    with folder.open(data_name(index)) as stream:
        try:
            rows = pq.ParquetFile(stream).metadata.num_rows
        except pa.ArrowInvalid as error:
            return f"{data_name(index)} cannot be read: {error}"
    counts = entry.counts
    if counts.rows != plan.chunks[index].rows:
        return f"{entry_name(index)} counts {counts.rows} rows, the plan {plan.chunks[index].rows}"
    if not rows == counts.records == counts.scored + sum(counts.set_aside.values()):
        return f"{entry_name(index)}: its counts do not add up with the {rows} records of {data_name(index)}"
    if plan.embedded and embeddings_name(index) not in entry.files:
        return f"{entry_name(index)} knows of no {embeddings_name(index)}"
    return wrong_part(folder, index, rows) if plan.embedded else None


def _hash(folder: Folder, name: str, also: "hashlib._Hash | None") -> str | None:
    """Give the SHA-256 of a file, None where it is not there; its bytes also go into another hash."""
    own = hashlib.sha256()
    try:
        with folder.open(name) as stream:
            while block := stream.read(BLOCK):
                own.update(block)
                if also:
                    also.update(block)
    except FileNotFoundError:
        return None
    return own.hexdigest()


def _wrong_end(folder: Folder, total: Counts, joined: str) -> str | None:
    """Say what is wrong with the last files of a finished run."""
    if _hash(folder, SET_ASIDE, None) != joined:
        return f"{SET_ASIDE} is not what the chunks set aside"
    try:
        said = counts_before(folder)
    except InputError as error:
        return str(error)
    return None if said == total else f"{RUN} does not count what the chunks count"


def repair(
    found: Verified,
    run: str | Path | Folder,
    watch: Watch | None = None,
    *,
    pool: Place | Sequence[Place] = (),
    ranker: Rankers = (),
    embeddings: str = "",
) -> RunReport | None:
    """Take what is damaged out of a run, and where the run was finished make just that anew.

    `pool`, `ranker` and `embeddings` say where these, and the encoder, are now, if they were moved. Of a run that is
    not finished the damaged chunks are to do again: the same `score_pool` goes on with it. Raises RunError where the
    scores cannot be made again, InputError where the pool or a bundle is another by now; nothing is taken out then.
    """
    folder = open_folder(run)
    with folder.hold():
        plan = Plan.read(folder)
        if digest(plan.fingerprint) != found.fingerprint:
            raise InputError(f"{folder.place}: it is another run since it was checked; verify it again")
        chunks = _still_damaged(folder, plan, found)
        if not chunks:
            return _end_again(folder, plan) if finished(folder) else None
        if not plan.bundles:
            raise _of_a_training(folder)
        whole = {RUN, SET_ASIDE} & (folder.names() or set())
        places = pool or plan.pool, ranker or plan.bundles, embeddings
        again = _asked_again(folder, plan, *places) if whole else None
        folder.remove([RUN])  # first: from here on the run is not finished, whoever ended it meanwhile
        folder.remove(name(chunk) for chunk in chunks for name in (entry_name, *plan.yields))
        folder.prepare(*plan.rooms)
    return again(watch) if again else None


def _still_damaged(folder: Folder, plan: Plan, found: Verified) -> list[int]:
    """Look once more at what was found, now that nobody else writes: another process may have made it anew."""
    chunks = [damage.chunk for damage in found.damaged if damage.chunk is not None]
    return [
        index
        for index, entry in entries(folder, plan, chunks)
        if entry is None or _wrong(folder, plan, index, entry, hashlib.sha256())
    ]


def _of_a_training(folder: Folder) -> RunError:
    return RunError(
        f"{folder.place}: these scores are those of a training; they cannot be made again one by one: "
        "restore the folder from a copy, or train again"
    )


def _end_again(folder: Folder, plan: Plan) -> RunReport:
    """Write the last files of a run anew: every chunk is as the ledger says."""
    if not plan.bundles:
        return _join_again(folder, plan)
    try:
        report = finished_before(folder)
    except InputError:
        report = RunReport.gathered(folder.place, Counts(), plan)
    folder.remove([RUN])
    report = replace(report, counts=done(folder, plan).counts)
    finish(folder, plan, report)
    return replace(report, rows_scored=0)


def _join_again(folder: Folder, plan: Plan) -> RunReport:
    """Join the set-aside rows of a training's run; what it says of itself nobody else can write."""
    counts = done(folder, plan).counts
    try:
        whole = counts_before(folder) == counts
    except InputError:
        whole = False
    if not whole:
        raise _of_a_training(folder)
    join_set_aside(folder, plan)
    return RunReport.gathered(folder.place, counts, plan)


def _asked_again(
    folder: Folder, plan: Plan, pool: Place | Sequence[Place], ranker: Rankers, encoder: str
) -> Callable[[Watch | None], RunReport]:
    """Make ready to score what is left as it was asked for. Raises InputError where that cannot be done any more."""
    reading, scoring = asked_before(plan)
    if encoder:
        if not scoring.encoder:
            raise InputError(
                f"{folder.place}: it has no embeddings of an encoder: --embeddings is not for it"
            )
        scoring = replace(scoring, embeddings=encoder)
    if _may_crash(folder):
        scoring = replace(scoring, workers=1)
    try:
        field = another(folder, plan, Job.of(pool, ranker, reading, scoring))
    except InputError as error:
        moved = ("the pool, the ranker or the encoder", "--pool, --ranker and --embeddings")
        if not scoring.encoder:
            moved = ("the pool or the ranker", "--pool and --ranker")
        raise InputError(
            f"what is damaged cannot be made anew: {error}. If {moved[0]} was moved, {moved[1]} name the new place; "
            "else score the pool into another folder"
        ) from None
    if field:
        way = remedy(plan, field) if field.startswith("versions.") else _elsewhere(field)
        raise InputError(
            f"what is damaged cannot be made anew: {field} is not what it was. {way}, "
            "or score the pool into another folder"
        )
    return lambda watch: score_pool(pool, ranker, folder, reading=reading, scoring=scoring, watch=watch)


def _may_crash(folder: Folder) -> bool:
    """Tell whether a record of the run crashed a worker, or may have, for all that is known."""
    try:
        return Reason.CRASHED in counts_before(folder).set_aside
    except InputError:
        return True


def _elsewhere(field: str) -> str:
    flag = {"pool": "--pool", EMBEDDINGS: "--embeddings"}.get(field.partition(".")[0], "--ranker")
    return f"{flag} names the one that was scored, if it is elsewhere"

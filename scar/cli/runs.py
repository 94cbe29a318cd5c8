"""`scar plan`, `gather`, `status` and `verify`: runs of many processes, and what became of a run."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scar.cli import logs
from scar.cli.parser import Parser, from_flat
from scar.cli.score import add_scoring, print_next, print_run, scoring_of
from scar.settings import Reading

if TYPE_CHECKING:
    from scar.serving.status import Status
    from scar.serving.verify import Verified


def plan(arguments: Sequence[str]) -> None:
    """Plan a run."""
    parser = Parser(
        "plan", "Cut a pool into chunks, and score nothing: `scar score --shard i/n` then scores a part each."
    )
    add_scoring(parser)
    parser.add_argument("--out", type=str, required=True, help="run folder, where all that score can write")
    values = parser.read(arguments)
    from scar.runs import finished, open_folder
    from scar.serving.run import plan_run

    made = plan_run(
        values["pool"],
        values["ranker"],
        values["out"],
        reading=from_flat(Reading, values),
        scoring=scoring_of(values),
        overwrite=values["overwrite"],
    )
    run, ended = values["out"], finished(open_folder(values["out"]))
    facts = {"rows": made.rows, "files": len(made.files), "chunks": len(made.chunks), "finished": ended}
    logs.event("plan", {"run": run, **facts})
    print(f"{run}: {made.rows:,} rows of {len(made.files):,} files in {len(made.chunks):,} chunks")
    if ended:
        print("it is finished already: the same pool, ranker and settings")
        return print_next(run, made.rankers)
    print("next: scar score with the same words and --shard 1/N to N/N, each anywhere; then scar gather")


def gather(arguments: Sequence[str]) -> None:
    """End a run of shards."""
    parser = Parser(
        "gather", "End a run whose shards are scored: check that every chunk is there, write run.json."
    )
    parser.add_argument("run", type=str, help="run folder")
    run = parser.read(arguments)["run"]
    from scar.serving.run import gather as end

    report = end(run)
    print_run(report, same="")
    print_next(report.run, list(report.choice))


def status(arguments: Sequence[str]) -> None:
    """Say how far a run is."""
    parser = Parser("status", "How far a run is, who works on it, and how long it will take.")
    parser.add_argument("run", type=str, help="run folder")
    run = parser.read(arguments)["run"]
    from scar.serving.status import status as look

    print_status(look(run))


def print_status(now: "Status") -> None:
    """Print where a run stands."""
    logs.event("status", {**asdict(now), "rows_left": now.rows_left, "seconds_left": now.seconds_left})
    counts, aside = now.counts, sum(now.counts.set_aside.values())
    state = "finished" if now.finished else f"{now.chunks - now.chunks_done:,} chunks left"
    print(
        f"{now.run}: {now.chunks_done:,} of {now.chunks:,} chunks, {counts.rows:,} of {now.rows:,} rows; {state}"
    )
    print(f"{counts.records:,} records: {counts.scored:,} scored, {aside:,} set aside")
    for reason, number in sorted(counts.set_aside.items()):
        print(f"  {number:,} {reason}")
    if now.rows_per_second and not now.finished:
        left = f", {_span(now.seconds_left)} left" if now.seconds_left is not None else ""
        print(f"{now.rows_per_second:,.1f} rows/s over the last chunks{left}")
    for owner in now.owners:
        print(f"being written by {owner}")
    if not now.owners and not now.finished:
        what = (
            "is whole: scar gather, or scar score, ends it"
            if now.chunks_done == now.chunks
            else "goes on by the same scar score"
        )
        print(f"nobody works on it; it {what}")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def verify(arguments: Sequence[str]) -> None:
    """Check a run or a bundle."""
    parser = Parser(
        "verify", "Check every checksum and count of a run or bundle; make anew what is damaged of a run."
    )
    parser.add_argument("place", type=str, help="run folder or bundle")
    parser.add_argument(
        "--check", action="store_true", help="change nothing: exit 1 where something is damaged"
    )
    parser.add_argument("--pool", type=str, help="where the pool is now, if it was moved")
    parser.add_argument(
        "--ranker", type=str, action="append", help="where the bundle is now; again for each further one"
    )
    parser.add_argument("--embeddings", type=str, help="where the bundle of the encoder is now")
    values = parser.read(arguments)
    place = values["place"]
    if _is_bundle(place):
        from pathlib import Path

        from scar.bundle import Bundle
        from scar.change import pending
        from scar.errors import RunError

        if values["check"] and pending(Path(place)):
            raise RunError(f"{place}: a change of it was cut short; without --check it is ended")
        Bundle.open(place)
        print(f"{place}: a whole bundle; every file is as its manifest says")
        return
    from scar.serving.verify import verify as check

    found = check(place)
    print_verified(found)
    if not (found.finished or found.damaged):
        print("the run is not finished: the same scar score goes on")
    if found.damaged:
        _mend(found, place, values)


def _is_bundle(place: str) -> bool:
    from pathlib import Path

    from scar.bundle import MANIFEST
    from scar.runs import PLAN

    return (Path(place) / MANIFEST).is_file() and not (Path(place) / PLAN).is_file()


def _mend(found: "Verified", place: str, values: dict[str, Any]) -> None:
    from scar.cli.progress import watched
    from scar.errors import RunError
    from scar.serving.verify import repair

    if values["check"]:
        raise RunError(f"{place}: {len(found.damaged)} damaged; without --check they are made anew")
    with watched() as watch:
        report = repair(
            found,
            place,
            watch,
            pool=values["pool"] or (),
            ranker=values["ranker"] or (),
            embeddings=values["embeddings"] or "",
        )
    if report is None:
        print("what was damaged is taken out; the run is not finished: the same scar score goes on")
    else:
        print(f"made anew {report.rows_scored:,} rows; the run is whole")


def print_verified(found: "Verified") -> None:
    """Print what a check found."""
    logs.event("verified", {"good": found.good, "missing": found.missing, "damaged": len(found.damaged)})
    missing = f", {found.missing:,} not done yet" if found.missing else ""
    print(
        f"{found.run}: {found.good:,} chunks are as the ledger says{missing}, {len(found.damaged):,} damaged"
    )
    for damage in found.damaged:
        where = "the end" if damage.chunk is None else f"chunk {damage.chunk}"
        print(f"  {where}: {damage.what}")
    for name in found.strays:
        print(f"  note: {name} is not of this run; whoever reads the folder as one table reads it too")

"""The seen-vs-unseen filter: every candidate is scored by a model that saw neither it nor its like.

Rows you have against candidates, in grouped folds; then a model of all rows, for the next pool.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from scar.errors import GateError, InputError
from scar.files import atomic, refuse_existing, refuse_url
from scar.folders import new_folder
from scar.pools import Place, digest
from scar.runs import PLAN
from scar.settings import Reading, UnseenSettings
from scar.training import backbone as backbones
from scar.training.cross import CrossEncoder
from scar.training.export import export
from scar.training.fit import fingerprint, pair_encoder
from scar.training.state import folder_for, open_state
from scar.training.unseen import finetune
from scar.training.unseen.embed import frozen
from scar.training.unseen.folds import fold_of, groups_of
from scar.training.unseen.job import Job
from scar.training.unseen.report import Report
from scar.training.unseen.rows import Rows
from scar.training.unseen.run_folder import write_run
from scar.training.unseen.signal import sequences_of

RUN_FOLDER, BUNDLE, REPORT = "run", "bundle", "report.json"


@dataclass(frozen=True)
class UnseenReport:
    """What a training did."""

    out: Path
    report: Report
    scored: int
    set_aside: int
    """Rows of the pool that could not be read."""
    unfit: str = ""
    """Why the bundle has no graphs although the sides can be told apart; the scores of the run stand."""


def train_unseen(
    settings: UnseenSettings,
    seen: Place | Sequence[Place],
    pool: Place | Sequence[Place],
    out: Path,
    *,
    reading: Reading | None = None,
    overwrite: bool = False,
) -> UnseenReport:
    """Train on the rows you have and on candidates; writes `out`/run, `out`/bundle and `out`/report.json.

    The folder appears whole or not at all. A killed training goes on with the next fold when it is called again.
    """
    out, reading, started = out.resolve(), reading or Reading(), time.perf_counter()
    refuse_existing(out, overwrite=overwrite)
    _refuse_foreign(out)
    rows, files = Rows.read(seen, pool, reading), {"seen": digest(seen), "pool": digest(pool)}
    job, ranker = _begun(settings, rows, {"files": files, "reading": asdict(reading)}, folder_for(out))
    if overwrite:
        finetune.clear(job.work)
    open_state(job.work, job.fingerprint, overwrite=overwrite)
    outcome = job.learn(ranker)
    report = job.report(outcome)
    with new_folder(out, overwrite=overwrite) as folder:
        facts = {"seconds": round(time.perf_counter() - started, 3), "out_of_fold": True}
        print_of = {**job.fingerprint, "kind": "out of fold"}
        counts = write_run(folder / RUN_FOLDER, rows, job.candidates(outcome), print_of, facts)
        job.save(outcome, folder / BUNDLE, files)
        lacking = _exported(folder / BUNDLE)
        report = replace(report, notes=(*report.notes, *filter(None, [lacking])))
        with atomic(folder / REPORT) as stream:
            stream.write(report.to_json().encode())
    finetune.clear(job.work)
    # Scores of noise may all be one score, which passes no gate: that is no fault of the graph.
    unfit = lacking if report.verdict.told_apart else ""
    return UnseenReport(out, report, counts.scored, sum(counts.set_aside.values()), unfit)


def _begun(
    settings: UnseenSettings, rows: Rows, made_of: dict[str, Any], work: Path
) -> tuple[Job, CrossEncoder]:
    """Deal the folds and make the ranker that is to learn; nothing is written yet.

    All that the settings can have wrong shows here: what is begun after it would have to be gone on with.
    """
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = pair_encoder(backbone, settings, settings.inputs)
    pairs = encoder.encode((record.turns, record.response) for record in rows.records)
    groups = groups_of(rows.records, on=settings.on, seed=settings.seed, encoded=sequences_of(pairs))
    fold = fold_of(groups, rows.seen, folds=settings.folds, seed=settings.seed)
    if settings.head == "linear":
        ranker = frozen(backbone, settings.layers)
    else:
        ranker = finetune.untrained(settings, backbone, work)
    folds = {"folds": hashlib.sha256(fold.tobytes()).hexdigest()}
    print_of = {**fingerprint(settings, {}, backbone), **made_of, **folds}
    return Job(settings, rows, groups, fold, backbone, encoder, pairs, work, print_of), ranker


def _exported(bundle: Path) -> str:
    """Write the bundle's graphs; says why where they do not pass. Days of training are not thrown away for that."""
    try:
        export(bundle)
    except GateError as error:
        return f"the bundle has no graphs, and cannot score: {str(error).partition(' (figures')[0]}"
    return ""


def _refuse_foreign(out: Path) -> None:
    """Raise InputError for a folder that is not ours: an overwrite must not take anything else along."""
    refuse_url(out, "folders of a training")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out is a folder")
    inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if inside and not (out / RUN_FOLDER / PLAN).is_file():
        raise InputError(f"{out} is not empty and not of `scar train unseen`: choose another --out")
    if more := sorted(inside - {RUN_FOLDER, BUNDLE, REPORT}):
        raise InputError(
            f"{out / more[0]} is not of `scar train unseen`: move it, --overwrite would take it along"
        )

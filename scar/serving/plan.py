"""Plan a run: cut the pool, fingerprint all that its scores depend on, claim the run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scar.errors import InputError
from scar.files import read_json
from scar.pools import PoolFile, cut
from scar.runs import CHUNKS, LEDGER, PLAN, RUN, SET_ASIDE, SET_ASIDE_PARTS, Plan, chunk_name, finished
from scar.serving.scorer import Scorer
from scar.settings import Reading, Scoring

RANKERS = "rankers"
"""Field of the fingerprint; runs of earlier versions, which had no columns of a calibration, lack it."""


def make_plan(
    files: Sequence[PoolFile],
    pool: Sequence[str],
    scorers: Sequence[Scorer],
    reading: Reading,
    scoring: Scoring,
) -> Plan:
    """Read the pool once and fix what the run will do."""
    chunk_rows = max(scorer.scoring.chunk_rows for scorer in scorers)
    facts, chunks = cut(files, chunk_rows)
    fingerprint: dict[str, Any] = {
        "pool": {file.name: file.sha256 for file in facts},
        "reading": asdict(reading),
        "scoring": scoring.fingerprint(),
        # Their order is the order of the sidecar's columns, so another order is another run.
        RANKERS: [scorer.name for scorer in scorers],
        "ranker": {scorer.name: _depends_on(scorer) for scorer in scorers},
    }
    # Through JSON's eyes, so that a plan read back compares equal; what an engine's table gave stands here too.
    fingerprint["scoring"] |= {"carry": list(scoring.carry), "chunk_rows": chunk_rows}
    return Plan(tuple(pool), tuple(facts), tuple(chunks), tuple(fingerprint[RANKERS]), fingerprint)


def _depends_on(scorer: Scorer) -> dict[str, Any]:
    choice = scorer.choice
    return {
        "files": scorer.files(),
        "engine": choice.engine,
        "precision": choice.precision,
        "graph": choice.graph,
        "batch_tokens": scorer.scoring.batch_tokens,
    }


def check_run(run: Path) -> None:
    """Refuse what cannot become a run folder, before anything long is done."""
    if run.exists() and not run.is_dir():
        raise InputError(f"{run} is a file; the scores go to a folder")
    if run.is_dir() and not (run / PLAN).is_file() and any(path.name not in _OURS for path in run.iterdir()):
        raise InputError(f"{run} is not empty and not a run of `scar score`: choose another --out")
    run.mkdir(parents=True, exist_ok=True)


_FOLDERS = (CHUNKS, SET_ASIDE_PARTS, LEDGER)
_OURS = (*_FOLDERS, f".{PLAN}.tmp")
"""What a kill before the first plan can leave."""


def claim(run: Path, plan: Plan, *, overwrite: bool) -> bool:
    """Make the run folder ready for the plan; False where this very run is finished already.

    Raises InputError where the folder holds another run, an unfinished one, or is not a run at all.
    """
    check_run(run)
    if (run / PLAN).is_file():
        if not overwrite and _same(run, plan):
            return False
        clear(run)
    plan.write(run)
    for folder in _FOLDERS:
        (run / folder).mkdir(exist_ok=True)
    return True


def _same(run: Path, plan: Plan) -> bool:
    old = Plan.read(run)
    if RANKERS not in old.fingerprint:
        raise InputError(
            f"{run} was scored by an earlier version, or by a training: choose another --out, or --overwrite"
        )
    if field := differing(old.fingerprint, plan.fingerprint):
        raise InputError(f"{run} holds another run: {field} differs. Choose another --out, or --overwrite")
    if not finished(run):
        raise InputError(f"{run} holds this run, unfinished: --overwrite starts it again")
    return True


def differing(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> str | None:
    """Name the first field, as `scoring.batch_tokens`, in which two fingerprints differ."""
    for name in {**old, **new}:
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if inner := differing(a, b, f"{path}{name}."):
                return inner
        elif a != b:
            return path + name
    return None


def clear(run: Path) -> None:
    """Delete what the folder's own plan lists, and nothing else: the mark of a finished run first, the plan last."""
    plan = Plan.read(run)
    for name in (RUN, SET_ASIDE):
        (run / name).unlink(missing_ok=True)
    for chunk in plan.chunks:
        for folder, suffix in ((LEDGER, ".json"), (CHUNKS, ".parquet"), (SET_ASIDE_PARTS, ".jsonl")):
            name = chunk_name(chunk.index, suffix)
            (run / folder / name).unlink(missing_ok=True)
            (run / folder / f".{name}.tmp").unlink(missing_ok=True)
    for folder in _FOLDERS:
        if (run / folder).is_dir() and not any((run / folder).iterdir()):
            (run / folder).rmdir()
    (run / PLAN).unlink()


def read_summary(run: Path) -> dict[str, Any]:
    """Read run.json of a finished run."""
    summary: dict[str, Any] = read_json(run / RUN, "the run did not finish")
    return summary

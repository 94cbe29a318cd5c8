"""Fill the folder beside a kept file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import scar
from scar.files import sha256
from scar.runs import Folder, Plan
from scar.selection.audit import Audit
from scar.selection.config import to_config
from scar.selection.fuse import By, Fuse
from scar.selection.rules import NOT_ELIGIBLE, Rule, Selection
from scar.selection.scored import Scored
from scar.selection.why.folder import RECORDS, write_records
from scar.selection.why.manifest import Manifest, Stage, as_json

MOST_SHARES = 50
"""Values of a column whose shares the manifest keeps."""


@dataclass(frozen=True)
class Made:
    """A selection that was written."""

    name: str
    """Name that the file will have."""
    file: Path
    run: Folder
    plan: Plan
    rule: Rule
    scored: Scored
    selection: Selection
    audit: Audit


def write_why(folder: Path, made: Made) -> None:
    """Write the table of the records, then the manifest."""
    set_aside = write_records(folder / RECORDS, made.run, made.plan, made.scored, made.selection)
    plan, selection = made.plan, made.selection
    records, kept = len(selection.reasons), len(selection.rows)
    scored = int((selection.reasons != NOT_ELIGIBLE).sum())
    Manifest(
        kept={
            "name": made.name,
            "bytes": made.file.stat().st_size,
            "sha256": sha256(made.file),
            "records": kept,
        },
        records={"sha256": sha256(folder / RECORDS), "records": records},
        run={"place": made.run.place, "fingerprint": plan.digest},
        pool=plan.pool,
        files=tuple(
            {"name": f.name, "bytes": f.bytes, "sha256": f.sha256, "rows": f.rows} for f in plan.files
        ),
        bundles=plan.bundles,
        rankers=plan.rankers,
        reading=plan.reading,
        by=_by(made.scored.by),
        rules=tuple(as_json(to_config(made.rule))),
        stages=_stages(selection),
        counts={
            "rows": plan.rows,
            "records": records,
            "scored": scored,
            "set_aside": records - scored,
            "kept": kept,
        },
        set_aside=dict(sorted(set_aside.items())),
        audit=_audit(made.audit),
        versions={"scar-rank": scar.__version__, "numpy": np.__version__},
    ).write(folder)


def _by(by: By) -> Any:
    return by.to_config() if isinstance(by, Fuse) else by


def _stages(selection: Selection) -> tuple[Stage, ...]:
    left = int((selection.reasons != NOT_ELIGIBLE).sum())
    stages = []
    for number, rule in enumerate(selection.stages):
        came, left = left, left - int((selection.reasons == number).sum())
        facts = selection.facts[number] if number < len(selection.facts) else {}
        stages.append(Stage(rule, came, left, as_json(facts)))
    return tuple(stages)


def _audit(audit: Audit) -> Mapping[str, Any]:
    found: dict[str, Any] = as_json(asdict(audit)) | {"warnings": audit.warnings}
    for side in ("kept", "random", "pool"):
        found[side]["groups"] = {
            column: dict(list(shares.items())[:MOST_SHARES])
            for column, shares in found[side]["groups"].items()
        }
    return found

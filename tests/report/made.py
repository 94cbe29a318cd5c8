"""What `scar select` leaves beside a kept file, written by hand: no reader or writer of it is used."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scar.pools import find
from scar.runs import Disk, read_columns, require_finished, schema_of
from scar.selection.keep import select
from scar.selection.rules import KEPT
from scar.selection.rules.chain import stages_of
from scar.selection.scored import Scored


def make_kept(run, rule, kept, *, by=None, audit=None):
    """Select from a run, and write KEPT and KEPT.why."""
    folder = Disk(run)
    plan = require_finished(folder)
    if not kept.exists():
        select(run, rule, kept, by=by)
    scored = Scored.of_run(run, by, find(list(plan.pool)))
    selection = rule.select(scored)
    why = kept.with_name(kept.name + ".why")
    why.mkdir(exist_ok=True)
    table = _records(folder, plan, scored, selection)
    pq.write_table(table, why / "records.parquet")
    (why / "manifest.json").write_text(
        json.dumps(_manifest(plan, run, rule, kept, scored, selection, table, audit), default=str)
    )
    return kept


def _records(folder, plan, scored, selection):
    table = pa.concat_tables(
        read_columns(folder, plan, schema_of(folder, plan).names), promote_options="permissive"
    )
    rank = np.zeros(len(scored), dtype=np.int64)
    rank[selection.rows] = np.arange(1, len(selection.rows) + 1)
    stage = selection.reasons
    crowded = selection.crowded_by if selection.crowded_by is not None else np.full(len(scored), -1)
    return (
        table.append_column("scar_score", pa.array(scored.column().astype(np.float32), from_pandas=True))
        .append_column("scar_rank", pa.array(rank, mask=rank == 0))
        .append_column("scar_stage", pa.array(stage, pa.int16(), mask=stage < 0))
        .append_column("scar_crowded_by", pa.array(crowded, pa.int64(), mask=crowded < 0))
    )


def _manifest(plan, run, rule, kept, scored, selection, table, audit):
    left = int(scored.eligible.sum())
    stages = []
    for number, name in enumerate(selection.stages):
        dropped = int((selection.reasons == number).sum())
        stages.append(
            {"rule": name, "in": left, "out": left - dropped, "facts": dict(selection.facts[number])}
        )
        left -= dropped
    data = kept.read_bytes()
    aside = table.filter(table.column("reason").is_valid()).column("reason").to_pylist()
    return {
        "format": 1,
        "kept": {
            "name": kept.name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "records": len(selection.rows),
        },
        "records": {"sha256": "", "records": len(table)},
        "run": {"place": str(run), "fingerprint": dict(plan.fingerprint)},
        "pool": list(plan.pool),
        "files": [asdict(file) for file in plan.files],
        "bundles": list(plan.bundles),
        "rankers": list(plan.rankers),
        "reading": plan.settings.get("reading", {}),
        "by": plan.rankers[0],
        "rules": [{type(stage).__name__: asdict(stage)} for stage in stages_of(rule)],
        "stages": stages,
        "counts": {
            "rows": plan.rows,
            "records": len(table),
            "scored": int(scored.eligible.sum()),
            "set_aside": len(aside),
            "kept": int((selection.reasons == KEPT).sum()),
        },
        "set_aside": {reason: aside.count(reason) for reason in set(aside)},
        "audit": audit or {},
        "versions": {"scar-rank": "0.1.0"},
    }

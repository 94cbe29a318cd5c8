"""A run folder as a report sees it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from scar.bundle import RANKER
from scar.errors import InputError
from scar.pools import Place
from scar.report.facts import Facts
from scar.runs import (
    SET_ASIDE,
    Embeddings,
    Folder,
    Plan,
    read_columns,
    require_finished,
    schema_of,
)
from scar.selection.output import pool_files
from scar.settings import Reading

MOST_DETAILS = 10_000
"""Lines of set_aside.jsonl that are looked at."""


@dataclass(frozen=True)
class RunTable:
    """The sidecar of a run."""

    folder: Folder
    plan: Plan

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the first chunk, which are those of all."""
        return schema_of(self.folder, self.plan)

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read chunk by chunk."""
        return read_columns(self.folder, self.plan, columns)


def of_run(folder: Folder, by: str | None = None, pool: Place | Sequence[Place] | None = None) -> Facts:
    """Take a finished run; `by` names the score that is shown. InputError where it has none of that name."""
    plan = require_finished(folder)
    table = RunTable(folder, plan)
    score = _score(plan, table.schema, by)
    return Facts(
        name=short_place(folder.place),
        rows=plan.rows,
        rankers=plan.rankers,
        by=score,
        score=score,
        table=table,
        reading=Reading(**plan.reading),
        pool=partial(pool_files, plan, pool),
        embeddings=partial(embeddings_of, folder, plan),
        bundles=plan.bundles,
        bundle_hashes=hashes_of(plan),
        details=partial(details, folder),
        origin={
            "run": short_place(folder.place),
            **places(plan.pool, plan.bundles),
            "versions": ", ".join(f"{name} {v}" for name, v in plan.fingerprint.get("versions", {}).items()),
        },
    )


def _score(plan: Plan, schema: pa.Schema, by: str | None) -> str:
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    if by is None or by in numbers:
        return by or plan.rankers[0]
    raise InputError(f"--by {by}: no such score; there are: {', '.join(numbers)}")


def short_place(place: str) -> str:
    """Name a file or folder: a report is shown to others, whom the folders of a machine tell nothing."""
    return place if "://" in place else PurePath(place).name


def places(pool: Sequence[str], bundles: Sequence[str]) -> dict[str, str]:
    """Name where records and scores came from."""
    return {
        "pool": ", ".join(map(short_place, pool)),
        "rankers": ", ".join(map(short_place, bundles)) or "not of a bundle",
    }


def hashes_of(plan: Plan) -> dict[str, str]:
    """Give the SHA-256 of each ranker's ranker.json when it scored; none of scores that a training made."""
    known = plan.fingerprint.get("ranker", {})
    return {name: each["files"][RANKER] for name, each in known.items() if RANKER in each.get("files", {})}


def embeddings_of(folder: Folder, plan: Plan) -> Embeddings:
    """Open a run's embeddings. InputError where it was scored without."""
    if not plan.embedded:
        raise InputError(
            f"{folder.place} was scored without embeddings; `scar score --embeddings` keeps them"
        )
    return Embeddings.of_run(folder, plan)


def details(folder: Folder) -> Iterator[Mapping[str, Any]]:
    """Yield the first records that were set aside, with the details that the sidecar lacks."""
    try:
        with folder.open(SET_ASIDE) as stream:
            for line in islice(stream, MOST_DETAILS):
                yield json.loads(line)
    except (FileNotFoundError, ValueError):
        return  # the counts stand in the sidecar

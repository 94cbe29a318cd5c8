"""What `scar select` left beside a kept file, as a report sees it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.pools import FileFacts, Place
from scar.report.facts import Chosen, Facts
from scar.report.of_run import details, embeddings_of, hashes_of, places, short_place
from scar.runs import Embeddings, Folder, Plan, finished, open_folder
from scar.selection.output import pool_files
from scar.selection.why import KeptFolder, Manifest
from scar.selection.why.folder import RECORDS, SCORE, why_folder
from scar.selection.why.manifest import MANIFEST
from scar.settings import Reading


@dataclass(frozen=True)
class KeptTable:
    """The records of a selection, those that were dropped among them."""

    folder: KeptFolder

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the file."""
        return pq.read_schema(why_folder(self.folder.kept) / RECORDS)

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read piece by piece."""
        return self.folder.tables(columns)


@dataclass(frozen=True)
class _Scored:
    pool: tuple[str, ...]
    files: tuple[FileFacts, ...]


def of_kept(place: str, pool: Place | Sequence[Place] | None = None) -> Facts:
    """Take a selection by its kept file. InputError where nothing stands beside it, or it was changed since."""
    folder = KeptFolder.open(place)
    try:
        return _facts(folder, folder.manifest, pool)
    except (KeyError, TypeError, AttributeError) as error:
        where = why_folder(folder.kept) / MANIFEST
        raise InputError(f"{where}: damaged ({error!r}); select again") from None


def _facts(folder: KeptFolder, told: Manifest, pool: Place | Sequence[Place] | None) -> Facts:
    run = _run(told)
    return Facts(
        name=told.kept["name"],
        rows=told.counts["rows"],
        rankers=told.rankers,
        by=_words(told.by),
        score=SCORE,
        table=KeptTable(folder),
        reading=Reading(**told.reading),
        pool=partial(pool_files, _Scored(told.pool, tuple(FileFacts(**each) for each in told.files)), pool),
        embeddings=partial(_embeddings, run, told.run["place"]),
        bundles=told.bundles,
        bundle_hashes=hashes_of(run[1]) if run else {},
        chosen=Chosen(told.kept["name"], told.stages, told.audit),
        details=partial(details, run[0]) if run else lambda: iter(()),
        origin={
            "kept file": f"{told.kept['name']}, sha256 {told.kept['sha256']}",
            "run": short_place(told.run["place"]),
            **places(told.pool, told.bundles),
            "versions": ", ".join(f"{name} {version}" for name, version in told.versions.items()),
        },
    )


def _run(told: Manifest) -> tuple[Folder, Plan] | None:
    """Open the run that was selected from, where it is still there and still the same."""
    try:
        folder = open_folder(told.run["place"])
        plan = Plan.read(folder) if finished(folder) else None
    except (ValueError, OSError):  # InputError among them; a path with NUL
        return None
    return (folder, plan) if plan and plan.digest == told.run["fingerprint"] else None


def _words(by: Any) -> str:
    """Write a score in words: its name, or how several were fused."""
    if not isinstance(by, Mapping):
        return str(by)
    return f"{by['fuse']} of " + ", ".join(f"{name} x {weight:g}" for name, weight in by["of"].items())


def _embeddings(run: tuple[Folder, Plan] | None, place: str) -> Embeddings:
    if run is None:
        raise InputError(f"the run {place} is gone or was scored anew, and its embeddings with it")
    return embeddings_of(*run)

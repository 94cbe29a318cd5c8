"""What `scar select` left beside a kept file, as a report sees it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.files import read_json
from scar.pools import Place, PoolFile, find
from scar.report.facts import Chosen, Facts, Stage
from scar.report.of_run import details
from scar.runs import Embeddings, Folder, Plan, finished, open_folder
from scar.selection.keep import pool_files
from scar.settings import Reading

WHY = ".why"
MANIFEST, RECORDS = "manifest.json", "records.parquet"
PIECE = 65_536
"""Records that are read at once."""


@dataclass(frozen=True)
class KeptTable:
    """The records of a selection, those that were dropped among them."""

    path: Path

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the file."""
        with self._opened() as file:
            return file.schema_arrow

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Read piece by piece."""
        with self._opened() as file:
            for batch in file.iter_batches(PIECE, columns=list(columns), use_threads=False):
                yield pa.Table.from_batches([batch])

    def _opened(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path, page_checksum_verification=True)
        except FileNotFoundError:
            raise InputError(f"{self.path}: missing; select again") from None
        except pa.ArrowException as error:
            raise InputError(f"{self.path}: damaged ({error}); select again") from None


def why_folder(place: str) -> Path | None:
    """Give the folder beside a kept file, or the folder itself; None where there is none."""
    here = Path(place)
    candidates = (here, here.with_name(here.name + WHY))
    return next(
        (each for each in candidates if (each / MANIFEST).is_file() and each.name.endswith(WHY)), None
    )


def of_kept(folder: Path, pool: Place | Sequence[Place] | None = None) -> Facts:
    """Take a selection by its folder of reasons."""
    told = read_json(folder / MANIFEST, "`scar select` leaves one")
    try:
        return _facts(folder, told, pool)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{folder / MANIFEST}: not what `scar select` leaves ({error!r}); select again"
        ) from None


def _facts(folder: Path, told: Mapping[str, Any], pool: Place | Sequence[Place] | None) -> Facts:
    run = _run(told["run"])
    stages = (Stage(each["rule"], each["in"], each["out"], each.get("facts", {})) for each in told["stages"])
    return Facts(
        name=told["kept"]["name"],
        rows=told["counts"]["rows"],
        rankers=tuple(told["rankers"]),
        by=_words(told["by"]),
        score="scar_score",
        table=KeptTable(folder / RECORDS),
        reading=Reading(**told.get("reading", {})),
        pool=partial(_pool, told["pool"], pool, run),
        embeddings=partial(_embeddings, run, told["run"]["place"]),
        bundles=tuple(told["bundles"]),
        chosen=Chosen(told["kept"]["name"], tuple(told["rules"]), tuple(stages), told.get("audit") or {}),
        details=partial(details, run[0]) if run else lambda: iter(()),
        origin={
            "kept file": f"{told['kept']['name']}, sha256 {told['kept']['sha256']}",
            "run": told["run"]["place"],
            "pool": ", ".join(told["pool"]),
            "bundles": ", ".join(told["bundles"]) or "none",
            "versions": ", ".join(f"{name} {v}" for name, v in told.get("versions", {}).items()),
        },
    )


def _run(told: Mapping[str, Any]) -> tuple[Folder, Plan] | None:
    """Open the run that was selected from, where it is still there and still the same."""
    try:
        folder = open_folder(told["place"])
        if not finished(folder):
            return None
        plan = Plan.read(folder)
    except (InputError, OSError):
        return None
    same = told.get("fingerprint") in (None, plan.fingerprint, _text(plan.fingerprint))
    return (folder, plan) if same else None


def _text(fingerprint: Mapping[str, Any]) -> str:
    return json.dumps(fingerprint)


def _words(by: Any) -> str:
    """Write a score in words: its name, or how several were fused."""
    if not isinstance(by, Mapping):
        return str(by)
    return f"{by.get('fuse')} of " + ", ".join(f"{name} x {w:g}" for name, w in dict(by["of"]).items())


def _pool(
    recorded: Sequence[str], now: Place | Sequence[Place] | None, run: tuple[Folder, Plan] | None
) -> list[PoolFile]:
    if run:
        return pool_files(run[1], now)
    return find(now if now is not None else list(recorded))


def _embeddings(run: tuple[Folder, Plan] | None, place: str) -> Embeddings:
    if run is None:
        raise InputError(f"the run {place} is gone, and its embeddings with it")
    return Embeddings.of_run(*run)

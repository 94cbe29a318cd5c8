"""Where gates' records stand: in the bundle, or in a file beside a bundle that cannot be written."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scar.bundle import GATES, RANKER, Bundle, changing, is_record
from scar.errors import InputError
from scar.files import read_json, write_json

OWNER = "ranker"
"""Field of a record in a file of its own: the SHA-256 of the ranker.json that it is about."""


def records_of(bundle: Bundle, file: str | Path = "") -> list[dict[str, Any]]:
    """Give the records of a bundle, oldest first, then those that a file holds of it.

    Raises InputError where the file is none of ours, or holds none of this bundle.
    """
    if not file:
        return bundle.gates()
    owner = bundle.digest(RANKER)[RANKER]
    own = [record for record in _read(Path(file)) if record.get(OWNER) == owner]
    if not own:
        raise InputError(
            f"--gates {file}: holds no record of {bundle.path}, as its ranker.json is now: "
            f"scar gate {bundle.path} --rows POOL --gates {file}"
        )
    return [*bundle.gates(), *own]


def check_place(bundle: Bundle, file: Path | None = None) -> None:
    """Raise InputError where records could not be written, before minutes of work for them."""
    if file is None and not os.access(bundle.path, os.W_OK):
        raise InputError(f"{bundle.path} cannot be written: --gates FILE keeps the records elsewhere")
    if file is not None and file.resolve().parent == bundle.path.resolve():
        raise InputError(f"--gates {file}: inside the bundle; leave the flag out, or name a file elsewhere")
    if file is not None and not file.parent.is_dir():
        raise InputError(f"--gates {file}: no such folder: {file.parent}")
    if file is not None and file.exists():
        _read(file)


def add_records(bundle: Bundle, records: Sequence[dict[str, Any]], file: Path | None = None) -> Path:
    """Add records to the bundle's gates.json, or to a file, which may hold those of several bundles; gives which."""
    if file is None:
        with changing(bundle) as change:
            write_json(change.folder / GATES, {"records": [*bundle.gates(), *records]})
        return bundle.path / GATES
    owner = bundle.digest(RANKER)[RANKER]
    before = _read(file) if file.exists() else []
    write_json(file, {"records": [*before, *({OWNER: owner} | record for record in records)]})
    return file


def _read(file: Path) -> list[dict[str, Any]]:
    found = read_json(file, "`scar gate BUNDLE --gates FILE` writes it")
    records = found.get("records") if isinstance(found, dict) else None
    if not isinstance(records, list) or not all(map(is_record, records)):
        raise InputError(f"--gates {file}: no file of `scar gate`: it holds no list of records")
    return records

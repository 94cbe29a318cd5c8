"""Where kept rows go, and what stands in the way of that, found before anything long is done."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scar.errors import InputError
from scar.files import refuse_existing, require_folder
from scar.pools import FileFacts, Place, PoolFile, find
from scar.selection.why.folder import refuse_foreign
from scar.selection.writing import SUFFIXES, check_types


@dataclass(frozen=True)
class Output:
    """How the kept file is written."""

    sort: bool = False
    """Write best first instead of in input order."""
    prefix: str = "scar_"
    """Prefix of the added columns."""
    added_columns: bool = True
    """Add rank, row, part and scores to each kept row."""
    overwrite: bool = False
    """Replace an existing file."""


def check_output(out: Path, output: Output, pool: Sequence[PoolFile] = ()) -> None:
    """Refuse an output that cannot be written, before anything long is done."""
    if not out.name.endswith(SUFFIXES):
        raise InputError(f"{out}: the kept rows go to {', '.join(SUFFIXES)}")
    require_folder(out, "kept rows")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent}: no permission to write the kept rows there")
    refuse_existing(out, overwrite=output.overwrite)
    if out.is_dir():
        raise InputError(f"{out} is a folder; the kept rows go to a file")
    refuse_foreign(out)
    if out.resolve() in {Path(file.place).resolve() for file in pool}:
        raise InputError(f"{out} is a file of the pool: choose another --out")
    check_types(out, pool)


class Read(Protocol):
    """What knows the pool that was scored: a plan."""

    @property
    def pool(self) -> tuple[str, ...]:
        """Where it was."""

    @property
    def files(self) -> tuple[FileFacts, ...]:
        """Names, sizes and hashes."""


def pool_files(plan: Read, pool: Place | Sequence[Place] | None = None) -> list[PoolFile]:
    """Find the files that were scored, and check that they are the same bytes."""
    try:
        files = {file.name: file for file in find(pool if pool is not None else list(plan.pool))}
    except InputError as error:
        raise InputError(f"{error}; where the pool was moved, --pool gives its new place") from None
    for facts in plan.files:
        if facts.name not in files:
            raise InputError(f"{facts.name}: not in the pool any more; --pool gives its new place")
        if files[facts.name].facts() != (facts.bytes, facts.sha256):
            raise InputError(f"{files[facts.name].place}: changed since it was scored; score it again")
    return [files[facts.name] for facts in plan.files]

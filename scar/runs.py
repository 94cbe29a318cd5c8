"""The run folder: its names, its plan, and reading its scores back. Knows neither engines nor rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scar.errors import InputError
from scar.files import read_json, write_json
from scar.pools import Chunk, FileFacts

FORMAT = 1
PLAN, RUN, LOCK, SET_ASIDE = "plan.json", "run.json", ".lock", "set_aside.jsonl"
CHUNKS, SET_ASIDE_PARTS, LEDGER = "chunks", "set_aside", "ledger"


@dataclass(frozen=True)
class Plan:
    """What a run will do: the pool cut into chunks, and everything that its scores depend on."""

    pool: tuple[str, ...]
    """The pool argument, as absolute paths."""
    files: tuple[FileFacts, ...]
    chunks: tuple[Chunk, ...]
    rankers: tuple[str, ...]
    """Names of the rankers, one score column each."""
    fingerprint: Mapping[str, Any]
    """Field -> value or hash; a run goes on only under an equal one."""

    @property
    def rows(self) -> int:
        """Input rows of the pool."""
        return sum(file.rows for file in self.files)

    def write(self, run: Path) -> None:
        """Write plan.json."""
        write_json(run / PLAN, {"format": FORMAT, **asdict(self)})

    @classmethod
    def read(cls, run: Path) -> "Plan":
        """Read plan.json; InputError where the folder is not a run."""
        raw = read_json(run / PLAN, "this folder is not a run of `scar score`")
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise InputError(f"{run / PLAN}: not a plan that this version reads (format {FORMAT})")
        try:
            return cls(
                tuple(raw["pool"]),
                tuple(FileFacts(**file) for file in raw["files"]),
                tuple(Chunk(**chunk) for chunk in raw["chunks"]),
                tuple(raw["rankers"]),
                raw["fingerprint"],
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"{run / PLAN}: damaged ({error}); score the pool again") from None


def chunk_name(index: int, suffix: str) -> str:
    """Give a chunk's file name."""
    return f"{index:08d}{suffix}"


def finished(run: Path) -> bool:
    """Tell whether the run's last step was taken."""
    return (run / RUN).is_file()


def require_finished(run: Path) -> Plan:
    """Read the plan of a finished run; InputError where the run is not one, or is not finished."""
    if not run.is_dir():
        raise InputError(f"{run}: no such run folder; `scar score` makes one")
    plan = Plan.read(run)
    if not finished(run):
        raise InputError(f"{run}: the run did not finish; run `scar score` again with --overwrite")
    return plan


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: damaged ({error}); score the pool again") from None


def read_columns(run: Path, plan: Plan, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the named columns of the sidecar, one chunk at a time, in order."""
    for chunk in plan.chunks:
        path = run / CHUNKS / chunk_name(chunk.index, ".parquet")
        if not path.is_file():
            raise InputError(f"{path}: missing; the run folder is damaged, score the pool again")
        with _opened(path) as file:
            there = file.schema_arrow.names
            missing = [column for column in columns if column not in there]
            if missing:
                raise InputError(
                    f"{run}: no column {missing[0]!r} in the scores; there are: {', '.join(there)}. "
                    f"Columns of the pool must be carried: scar score --carry {missing[0]}"
                )
            yield file.read(columns=list(columns))


def number_columns(run: Path, plan: Plan) -> list[str]:
    """List the columns of the sidecar that hold floats: the scores; what was carried is text."""
    with _opened(run / CHUNKS / chunk_name(plan.chunks[0].index, ".parquet")) as file:
        return [field.name for field in file.schema_arrow if pa.types.is_floating(field.type)]

"""The plan of a run: the pool cut into chunks, and all that its scores depend on. Written once, never changed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from scar.errors import InputError
from scar.pools import Chunk, FileFacts
from scar.runs.checked import checked, read_checked
from scar.runs.folder import Folder
from scar.runs.names import (
    CHUNKS,
    EMBEDDINGS,
    PLAN,
    SET_ASIDE_PARTS,
    data_name,
    embeddings_name,
    set_aside_name,
)

FORMAT = 2
_CUT = tuple(each.name for each in fields(Chunk) if each.name != "index")
"""Columns of the table of chunks; a chunk's index is its place there."""


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    pool: tuple[str, ...]
    """The pool argument, as absolute paths."""
    files: tuple[FileFacts, ...]
    chunks: tuple[Chunk, ...]
    rankers: tuple[str, ...]
    """Names of the rankers, one score column each."""
    fingerprint: Mapping[str, Any]
    """Field -> value or hash; a run goes on only under an equal one."""
    bundles: tuple[str, ...] = ()
    """Paths of the rankers' bundles; none where the scores did not come from a bundle, and cannot be made again."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The reading and scoring settings as they were given."""

    @property
    def rows(self) -> int:
        """Input rows of the pool."""
        return sum(file.rows for file in self.files)

    @property
    def reading(self) -> Mapping[str, Any]:
        """How the pool's rows were read; a training's run has it in its fingerprint."""
        return dict(self.settings.get("reading") or self.fingerprint.get("reading") or {})

    @property
    def digest(self) -> str:
        """One hash of the fingerprint."""
        return hashlib.sha256(json.dumps(self.fingerprint, sort_keys=True).encode()).hexdigest()

    @property
    def embedded(self) -> bool:
        """Whether each chunk has a file of embeddings too."""
        return EMBEDDINGS in self.fingerprint

    @property
    def rooms(self) -> tuple[str, ...]:
        """The folders of what the chunks yield."""
        return (CHUNKS, SET_ASIDE_PARTS, *([EMBEDDINGS] if self.embedded else []))

    @property
    def yields(self) -> tuple[Callable[[int], str], ...]:
        """What names the files that a chunk yields, by its number."""
        return (data_name, set_aside_name, *([embeddings_name] if self.embedded else []))

    def write(self, folder: Folder) -> None:
        """Write plan.json: a chunk a line, so that it grows by some fifty bytes a chunk."""
        numbers = {file.name: number for number, file in enumerate(self.files)}
        head = {
            "format": FORMAT,
            "pool": self.pool,
            "bundles": self.bundles,
            "rankers": self.rankers,
            "fingerprint": self.fingerprint,
            "settings": self.settings,
            "files": [asdict(file) for file in self.files],
            "chunk_columns": _CUT,
        }
        lines = (json.dumps([numbers[c.file], *(getattr(c, name) for name in _CUT[1:])]) for c in self.chunks)
        text = json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ',\n  "chunks": [\n' + ",\n".join(lines)
        with folder.writing(PLAN) as stream:
            stream.write(checked(text + "\n]}"))

    @classmethod
    def read(cls, folder: Folder) -> "Plan":
        """Read plan.json; InputError where the folder is not a run."""
        text = read_of(folder, PLAN, "this folder is not a run of `scar score`")
        try:
            raw = read_checked(text)
            files = tuple(_facts(file) for file in raw["files"])
            columns = tuple(raw["chunk_columns"])
            chunks = tuple(
                _chunk(number, dict(zip(columns, row, strict=True)), files)
                for number, row in enumerate(raw["chunks"])
            )
            rest = [tuple(map(str, raw[name])) for name in ("pool", "rankers", "bundles")]
            return cls(
                rest[0], files, chunks, rest[1], dict(raw["fingerprint"]), rest[2], dict(raw["settings"])
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(f"{folder.place}/{PLAN}: {_why_not(text, error)}") from None


def _facts(told: Mapping[str, Any]) -> FileFacts:
    facts = FileFacts(**told)
    if not isinstance(facts.name, str) or not isinstance(facts.rows, int) or facts.rows < 0:
        raise ValueError(f"a file of the pool is {dict(told)}")
    return facts


def _chunk(number: int, row: Mapping[str, int], files: tuple[FileFacts, ...]) -> Chunk:
    if not all(isinstance(value, int) and value >= 0 for value in row.values()):
        raise ValueError(f"chunk {number} is {list(row.values())}")
    return Chunk(index=number, **{**row, "file": files[row["file"]].name})  # type: ignore[arg-type]


def _why_not(text: bytes, error: Exception) -> str:
    try:
        version = json.loads(text)["format"]
    except (ValueError, TypeError, LookupError, RecursionError):
        version = FORMAT
    if isinstance(version, int) and version != FORMAT:
        return f"not a plan of this version ({FORMAT}): score again into another folder"
    if text and not text.startswith(b'{\n  "format": ') and b'"chunk_columns"' not in text:
        return "not the plan of a run of `scar score`: choose another --out"
    return f"damaged ({error}): remove it, and the same `scar score` writes it anew and keeps what is done"


def read_of(folder: Folder, name: str, what: str) -> bytes:
    """Read a file of a run folder; InputError names it where it is missing."""
    try:
        with folder.open(name) as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder.place}/{name}: missing; {what}") from None

"""The folder that holds one trained ranker: its names, checksums and atomic changes. Knows no model library."""

import os
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scar import change as changes
from scar.errors import InputError
from scar.files import read_json, refuse_url, sha256, write_json
from scar.folders import held, new_folder, own_folder

FORMAT = 1
LONGEST_NAME = 255
"""Bytes of a file's name."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
"""Names of rankers: they become names of columns."""
RANKER, MANIFEST, WEIGHTS = "ranker.json", "manifest.json", "model.safetensors"
TOKENIZER, TOKENIZER_CHECK = "tokenizer.json", "tokenizer_check.json"
GATES, GATE_ROWS, CANARIES = "gates.json", "gate_rows.npz", "canaries.json"
EVALUATION, CARD = "evaluation.json", "README.md"
TOWER, HEAD, MODEL = "tower.onnx", "head.onnx", "model.onnx"


VARIANTS = {
    "reference": "fp32",
    "fused": "fp32",
    "int8": "int8",
    "w8": "int8",
    "dynamic": "int8",
    "fp16": "fp16",
}
"""Variants of a graph, and the precision that their weights are in: static int8 by calibration, 8-bit weights alone,
int8 with a scale for each batch (so that scores depend on batch mates), fp16 for a GPU."""


@dataclass(frozen=True)
class Graphs:
    """The files that a kind's graphs stand in."""

    reference: str
    beside: tuple[str, ...] = ()
    """What every variant needs too."""
    says: str = "score"
    """The output that stands for the whole: what gates compare."""

    def variant(self, name: str) -> str:
        """Give the file of a variant: `tower.int8.onnx` for int8."""
        return self.reference if name == "reference" else self.reference.replace(".onnx", f".{name}.onnx")

    def variant_of(self, file: str) -> str:
        """Give the name of the variant in a file."""
        return next(name for name in VARIANTS if self.variant(name) == file)

    @property
    def all(self) -> tuple[str, ...]:
        """Every file."""
        return (*map(self.variant, VARIANTS), *self.beside)


GRAPHS = {
    "style": Graphs(TOWER, (HEAD,)),
    "quality": Graphs(MODEL),
    "unseen": Graphs(MODEL),
    "encoder": Graphs(MODEL, says="embedding"),
}
"""The graphs of each kind of ranker, and of the kind that ranks nothing."""
ENCODER = "encoder"
"""The kind of a bundle that gives embeddings, and no score."""
RANKER_KINDS = tuple(kind for kind in GRAPHS if kind != ENCODER)
ENDINGS = {"probability": "p", "percentile": "percentile"}
"""Parts of a calibration, and the endings of the columns that they add."""
CALIBRATED = tuple(ENDINGS.values())
P_SEEN = "p_seen"
"""The column of the probability of seen."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: where it is, and what ranker.json says."""

    path: Path
    ranker: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> "Bundle":
        """Check every file against the manifest, then read ranker.json.

        Raises InputError naming the file that is missing or altered.
        """
        path = Path(path)
        if not path.is_dir():
            refuse_url(path, "bundles")
            raise InputError(f"{path}: no such bundle; `scar train` makes one")
        changes.finish(path, MANIFEST)
        with held(path, shared=True):
            verify(path)
        ranker = read_json(path / RANKER, "every bundle has one")
        if not isinstance(ranker, dict):
            raise InputError(f"{path / RANKER}: not an object; restore it or train again")
        if ranker.get("format") != FORMAT:
            raise InputError(f"{path}: bundle format {ranker.get('format')!r}; this version reads {FORMAT}")
        if ranker.get("kind") not in list(GRAPHS):
            raise InputError(
                f"{path}: a ranker of kind {ranker.get('kind')!r}; this version knows {', '.join(GRAPHS)}"
            )
        if not isinstance(name := ranker.get("name"), str) or not NAME.fullmatch(name):
            raise InputError(
                f"{path / RANKER}: name is {name!r}, not the name of a column (letters, digits, _)"
            )
        return cls(path, ranker)

    @classmethod
    def open_ranker(cls, path: str | Path) -> "Bundle":
        """Open a bundle that gives scores. Raises InputError for an encoder too."""
        bundle = cls.open(path)
        if bundle.kind == ENCODER:
            raise InputError(
                f"{bundle.path}: an encoder, which gives embeddings and no scores: name a ranker here; "
                "`scar score POOL --ranker B --embeddings ENCODER` runs both"
            )
        return bundle

    @property
    def name(self) -> str:
        """The ranker's name: its column in the scores."""
        return str(self.ranker["name"])

    @property
    def kind(self) -> str:
        """The ranker's kind."""
        return str(self.ranker["kind"])

    @property
    def width(self) -> int:
        """Numbers of an embedding. Raises InputError where ranker.json does not say it."""
        width = (self.ranker.get("encoder") or {}).get("hidden_size")
        if not isinstance(width, int) or width < 1:
            raise InputError(
                f"{self.path / RANKER}: the encoder's hidden_size is {width!r}: train the ranker again"
            )
        return width

    @property
    def graphs(self) -> Graphs:
        """The names of the kind's graphs."""
        return GRAPHS[self.kind]

    def columns(self) -> list[str]:
        """List the columns of numbers that the ranker gives each record."""
        return score_columns(self.ranker)

    def gates(self) -> list[dict[str, Any]]:
        """Every gate's record, oldest first; empty before the first export. InputError where the file is damaged."""
        path = self.path / GATES
        if not path.exists():
            return []
        told = read_json(path, "run `scar export` again")
        records = told.get("records") if isinstance(told, dict) else None
        if not isinstance(records, list) or not all(map(is_record, records)):
            raise InputError(f"{path}: holds no list of gates' records; run `scar export` again")
        return records

    def has(self, name: str) -> bool:
        """Tell whether the bundle holds a file: whether its manifest lists it."""
        return name in read_json(self.path / MANIFEST, "not a bundle")["files"]

    def digest(self, *names: str) -> dict[str, str]:
        """Give the SHA-256 of files of the bundle, as the manifest has them."""
        files = read_json(self.path / MANIFEST, "not a bundle")["files"]
        return {name: files[name]["sha256"] for name in names}


def is_record(record: Any) -> bool:
    """Tell whether a value has what is read of a gate's record; a graph that could not be made has a reason alone."""
    if not isinstance(record, dict) or not isinstance(record.get("passed"), bool):
        return False
    parts = [record.get(name, {}) for name in ("versions", "real", "speed")]
    texts = [record.get("device", "cpu"), record.get("reason") or ""]
    if not all(isinstance(part, dict) for part in parts) or not all(isinstance(text, str) for text in texts):
        return False
    return all(
        isinstance(value, int | float) for value in (parts[1].get("sigma") or 0, parts[2].get("times", 1))
    )


def score_columns(ranker: Mapping[str, Any]) -> list[str]:
    """List the columns of numbers that a ranker with this ranker.json gives: what a rule can order by."""
    name, calibration = ranker["name"], ranker.get("calibration") or {}
    endings = [ending for part, ending in ENDINGS.items() if calibration.get(part)]
    if ranker["kind"] != "unseen":
        return [name, f"{name}_tokens", *(f"{name}_{ending}" for ending in endings)]
    # Its probability is told as p_seen alone, whichever rows it prefers.
    return [name, f"{name}_tokens", *(f"{name}_{ending}" for ending in endings if ending != "p"), P_SEEN]


def trained_on(ranker: Mapping[str, Any], sha256: str) -> bool:
    """Tell whether the ranker of this ranker.json learned from a file with this hash, or chose its epoch by it."""
    files = (ranker.get("data") or {}).get("files", {})
    return any(file["sha256"] == sha256 for part, file in files.items() if part != "test")


def verify(path: Path) -> None:
    """Check every file of a bundle against its manifest; InputError names the first that differs."""
    manifest = read_json(path / MANIFEST, "this folder is not a whole bundle")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or RANKER not in files:
        raise InputError(f"{path / MANIFEST}: does not list {RANKER}; not a whole bundle")
    for name, facts in files.items():
        if Path(name).name != name or len(os.fsencode(name)) > LONGEST_NAME:
            raise InputError(f"{path / MANIFEST}: {name!r} is not a file of this folder")
        if not isinstance(facts, dict) or not {"bytes", "sha256"} <= facts.keys():
            raise InputError(f"{path / MANIFEST}: says no size and checksum of {name}; not a whole bundle")
        file = path / name
        if not file.is_file():
            raise InputError(
                f"{file}: missing from the bundle (its manifest lists it); restore it or train again"
            )
        if file.stat().st_size != facts["bytes"] or sha256(file) != facts["sha256"]:
            raise InputError(f"{file}: altered since the bundle was written (checksum differs); restore it")


def seal(path: Path, known: Mapping[str, Any] | None = None) -> None:
    """Write the manifest of everything in the folder: the last step of whatever makes a bundle.

    `known` gives the entries of files that stand elsewhere, or were not touched.
    """
    facts = {**_facts(path, known or {}), **(known or {})}
    write_json(path / MANIFEST, {"format": FORMAT, "files": dict(sorted(facts.items()))})


def _facts(path: Path, known: Container[str]) -> dict[str, Any]:
    files = (f for f in path.iterdir() if f.is_file() and f.name != MANIFEST and not f.name.startswith("."))
    return {f.name: {"sha256": sha256(f), "bytes": f.stat().st_size} for f in files if f.name not in known}


def refuse_foreign(path: Path) -> None:
    """Raise InputError for a folder that is not a bundle of ours: an overwrite must not take anything else along."""
    refuse_url(path, "bundles")
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise InputError(f"{path} is not empty and not a bundle: choose another --out")


@contextmanager
def new_bundle(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Build a bundle in a hidden folder; it appears whole and sealed at `path`, or not at all."""
    refuse_foreign(path)
    with new_folder(path, overwrite=overwrite) as temp:
        yield temp
        seal(temp)


@dataclass(frozen=True)
class Change:
    """A change of a bundle in the making: files to put in, and names to take out."""

    folder: Path
    removed: set[str] = field(default_factory=set)


@contextmanager
def changing(bundle: Bundle) -> Iterator[Change]:
    """Change a bundle: files written to the change's folder move in at the end of the block, or none does.

    Nobody else changes or reads it meanwhile: the block looks once more at what is there. Raises InputError
    where another ranker took the place of the one that was opened; its calibration may be a new one.
    Whoever is killed before leaves the old bundle, whoever is killed later one that the next `Bundle.open` ends.
    """
    with own_folder(bundle.path, ".change-") as folder, held(bundle.path, shared=False):
        changes.finish_held(bundle.path, MANIFEST)
        _refuse_another(bundle)
        change = Change(folder)
        yield change
        old = read_json(bundle.path / MANIFEST, "not a bundle")["files"]
        new = {file.name for file in change.folder.iterdir()}
        kept = {name: facts for name, facts in old.items() if name not in change.removed | new}
        # What stands there unlisted becomes part of the bundle, as ever.
        kept |= _facts(bundle.path, old | dict.fromkeys(change.removed | new))
        seal(change.folder, kept)
        changes.commit(bundle.path, change.folder, MANIFEST)


def _refuse_another(bundle: Bundle) -> None:
    now = read_json(bundle.path / RANKER, "every bundle has one")
    if not isinstance(now, dict) or now | {"calibration": None} != {**bundle.ranker, "calibration": None}:
        raise InputError(
            f"{bundle.path}: another ranker took its place since this command began; run it again"
        )

"""The folder that holds one trained ranker: its names, checksums and atomic changes. Knows no model library."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scar.errors import InputError
from scar.files import new_folder, read_json, sha256, write_json

FORMAT = 1
RANKER, MANIFEST, WEIGHTS = "ranker.json", "manifest.json", "model.safetensors"
TOKENIZER, GATES, GATE_ROWS = "tokenizer.json", "gates.json", "gate_rows.npz"
EVALUATION, CARD = "evaluation.json", "README.md"
TOWER, HEAD, FUSED_TOWER = "tower.onnx", "head.onnx", "tower.fused.onnx"


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
            raise InputError(f"{path}: no such bundle; `scar train` makes one")
        verify(path)
        ranker = read_json(path / RANKER, "every bundle has one")
        if ranker.get("format") != FORMAT:
            raise InputError(f"{path}: bundle format {ranker.get('format')!r}; this version reads {FORMAT}")
        return cls(path, ranker)

    @property
    def name(self) -> str:
        """The ranker's name: its column in the scores."""
        return str(self.ranker["name"])

    @property
    def kind(self) -> str:
        """The ranker's kind."""
        return str(self.ranker["kind"])

    def gates(self) -> list[dict[str, Any]]:
        """Every gate's record, oldest first; empty before the first export."""
        path = self.path / GATES
        return list(read_json(path, "run `scar export` again")["records"]) if path.exists() else []

    def digest(self, *names: str) -> dict[str, str]:
        """Give the SHA-256 of files of the bundle, as the manifest has them."""
        files = read_json(self.path / MANIFEST, "not a bundle")["files"]
        return {name: files[name]["sha256"] for name in names}


def verify(path: Path) -> None:
    """Check every file of a bundle against its manifest; InputError names the first that differs."""
    manifest = read_json(path / MANIFEST, "this folder is not a whole bundle")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or RANKER not in files:
        raise InputError(f"{path / MANIFEST}: does not list {RANKER}; not a whole bundle")
    for name, facts in files.items():
        if Path(name).name != name:
            raise InputError(f"{path / MANIFEST}: {name!r} is not a file of this folder")
        file = path / name
        if not file.is_file():
            raise InputError(
                f"{file}: missing from the bundle (its manifest lists it); restore it or train again"
            )
        if file.stat().st_size != facts["bytes"] or sha256(file) != facts["sha256"]:
            raise InputError(f"{file}: altered since the bundle was written (checksum differs); restore it")


def seal(path: Path) -> None:
    """Write the manifest of everything in the folder: the last step of whatever changes a bundle."""
    files = sorted(
        f for f in path.iterdir() if f.is_file() and f.name != MANIFEST and not f.name.startswith(".")
    )
    facts = {f.name: {"sha256": sha256(f), "bytes": f.stat().st_size} for f in files}
    write_json(path / MANIFEST, {"format": FORMAT, "files": facts})


@contextmanager
def new_bundle(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Build a bundle in a hidden folder; it appears whole and sealed at `path`, or not at all."""
    with new_folder(path, overwrite=overwrite) as temp:
        yield temp
        seal(temp)


@contextmanager
def changing(bundle: Bundle) -> Iterator[Path]:
    """Change files of a bundle: write them atomically inside the block, which ends with a new manifest."""
    yield bundle.path
    seal(bundle.path)

"""The manifest of a kept file: rules, counts in and out of each, seeds, checksums. Knows no rule by name."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scar.errors import InputError
from scar.files import read_json, write_json
from scar.selection.why.shape import (
    list_of,
    mapping_of,
    number,
    number_or_null,
    object_of,
    shallow,
    table,
    text,
    whole,
)

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stage:
    """One stage of a selection."""

    rule: str
    """As it prints."""
    came: int
    """Records that it saw."""
    left: int
    """Records that it kept."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What it found on its way."""


@dataclass(frozen=True)
class Manifest:
    """How a kept file was made: enough to make it again, and to tell whether it is the same file."""

    kept: Mapping[str, Any]
    """name, bytes, sha256, records, and how it was written."""
    records: Mapping[str, Any]
    """sha256 and number of the records of the table beside it."""
    run: Mapping[str, Any]
    """place of the run folder, and the digest of what its scores depend on."""
    pool: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    """name, bytes, sha256 and rows of each file of the pool."""
    bundles: tuple[str, ...]
    rankers: tuple[str, ...]
    reading: Mapping[str, Any]
    by: Any
    """The score that ordered: a name, or how several were fused."""
    rules: tuple[Mapping[str, Any], ...]
    """As in a rules.yaml; seeds among the settings."""
    stages: tuple[Stage, ...]
    counts: Mapping[str, int]
    """rows, records, scored, set_aside, kept."""
    set_aside: Mapping[str, int]
    """Records without a score by reason."""
    audit: Mapping[str, Any]
    versions: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Write manifest.json."""
        stages = [
            {"rule": each.rule, "in": each.came, "out": each.left, "facts": dict(each.facts)}
            for each in self.stages
        ]
        write_json(folder / MANIFEST, {"format": FORMAT, **asdict(self), "stages": stages})

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read manifest.json. InputError where there is none, or it is not one of ours."""
        raw = read_json(folder / MANIFEST, "`scar select` leaves one beside the kept file; select again")
        place = folder / MANIFEST
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            told = raw.get("format") if isinstance(raw, dict) else raw
            raise InputError(f"{place}: format {str(told)[:40]!r}, this version reads {FORMAT}")
        try:
            _shape(raw, "the manifest")
        except ValueError as error:
            raise InputError(f"{place}: damaged: {error}; select again") from None
        stages = tuple(Stage(each["rule"], each["in"], each["out"], each["facts"]) for each in raw["stages"])
        given = {each.name: raw[each.name] for each in fields(cls)} | {"stages": stages}
        lists = {name: tuple(given[name]) for name in ("pool", "files", "bundles", "rankers", "rules")}
        return cls(**(given | lists))


def as_json(value: Any) -> Any:
    """Give a value as JSON holds it: numpy's numbers as Python's, what is not finite as null."""
    return json.loads(json.dumps(value, default=_plain), parse_constant=lambda _: None)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} is no JSON value")


_SIDE = object_of(
    {},
    some={
        **dict.fromkeys(("duplicates", "repeated_instructions", "compression"), number),
        "groups": mapping_of(mapping_of(number)),
    },
)
_FIGURES = ("length_correlation", "length_auc", "mean_score", "mean_tokens", "radius")
_AUDIT = object_of(
    {},
    some={
        **dict.fromkeys(_FIGURES, number_or_null),
        **{f"{name}_random": number_or_null for name in _FIGURES},
        **dict.fromkeys(("kept", "random", "pool"), _SIDE),
        "warnings": list_of(text),
    },
)


def _by(value: Any, path: str) -> None:
    if not isinstance(value, str):
        object_of({"fuse": text, "of": mapping_of(number)})(value, path)


_shape = object_of(
    {
        "kept": object_of({"name": text, "bytes": whole, "sha256": text, "records": whole}),
        "records": object_of({"sha256": text, "records": whole}),
        "run": object_of({"place": text, "fingerprint": text}),
        "pool": list_of(text),
        "files": list_of(object_of({"name": text, "bytes": whole, "sha256": text, "rows": whole})),
        "bundles": list_of(text),
        "rankers": list_of(text, least=1),
        "reading": table,
        "by": _by,
        "rules": list_of(table),
        "stages": list_of(object_of({"rule": text, "in": whole, "out": whole, "facts": mapping_of(shallow)})),
        "counts": object_of(dict.fromkeys(("rows", "records", "scored", "set_aside", "kept"), whole)),
        "set_aside": mapping_of(whole),
        "audit": _AUDIT,
        "versions": mapping_of(text),
    }
)

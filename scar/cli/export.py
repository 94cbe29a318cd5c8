"""`scar export`: a bundle's graphs and their gates."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.bundle import ENCODER
from scar.cli.parser import Parser, from_flat
from scar.cli.quiet import quiet
from scar.cli.tables import show
from scar.errors import InputError
from scar.settings import Reading

if TYPE_CHECKING:
    from scar.training.export import ExportReport


def export(arguments: Sequence[str]) -> None:
    """Export a bundle."""
    values = _parser().read(arguments)
    if values["private"] and not values["repository"]:
        raise InputError("--private goes with --push-to-hub")
    if values["encoder"] is not None:
        _export_encoder(values)
        return
    if values["bundle"] is None:
        raise InputError("name a bundle, or --encoder NAME --out BUNDLE to make one of an encoder")
    if stray := next((name for name in ("out", "revision", "max_tokens") if values[name]), None):
        raise InputError(f"--{stray} goes with --encoder")
    if values["overwrite"] and not values["folder"]:
        raise InputError("--overwrite goes with --to-hub-folder; graphs are replaced without it")
    published = values["folder"] or values["repository"]
    if values["graphs"] or values["rows"] or not published:
        _export_graphs(values)
    if published:
        _publish(values)


def _parser() -> Parser:
    parser = Parser(
        "export", "Write a bundle's ONNX graphs into it, each compared with the model on real rows."
    )
    parser.add_argument("bundle", type=Path, nargs="?", help="folder made by `scar train`")
    parser.add_argument(
        "--encoder",
        type=str,
        help="in place of a bundle: make one, at --out, of this folder or hub name; it gives embeddings, no scores",
    )
    parser.add_argument("--out", type=Path, help="the bundle that --encoder makes")
    parser.add_argument(
        "--revision", type=str, help="hub revision of the --encoder; what was found is recorded"
    )
    parser.add_argument(
        "--max_tokens",
        "--max-tokens",
        dest="max_tokens",
        type=int,
        default=0,
        help="tokens of a text that the --encoder sees; 0: 512, or its limit",
    )
    parser.add_argument(
        "--graphs",
        type=str,
        help="auto (default: reference, and fused if it can be), or some of reference,fused,int8,w8,dynamic,fp16: "
        "int8 is calibrated on one row in eight; dynamic: scores depend on batch mates; fp16: for a GPU, unverified",
    )
    parser.add_argument(
        "--rows", type=Path, help="pool to compare on and calibrate by; default: rows kept at training"
    )
    parser.add_argument(
        "--to-hub-folder",
        dest="folder",
        type=Path,
        help="write a folder that transformers loads, with the graphs that there are; "
        "graphs are made only where --graphs or --rows is given too",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing --to-hub-folder or --out"
    )
    parser.add_argument(
        "--push-to-hub",
        dest="repository",
        type=str,
        help="push that folder to the hub as ORG/NAME; the token is the one of HF_TOKEN or `hf auth login`",
    )
    parser.add_argument("--private", action="store_true", help="make a new --push-to-hub repository private")
    parser.add_settings(Reading)
    return parser


def _export_graphs(values: dict[str, Any]) -> None:
    try:
        from scar.training.export import export as export_bundle
    except ImportError as error:
        raise _no_extra(error) from None
    quiet()
    _print(
        export_bundle(
            values["bundle"],
            graphs=values["graphs"] or "auto",
            rows=values["rows"],
            reading=from_flat(Reading, values),
        )
    )


def _export_encoder(values: dict[str, Any]) -> None:
    if values["bundle"] or values["folder"] or values["repository"]:
        raise InputError("--encoder makes a bundle of its own, at --out: name no other, and push none")
    if values["out"] is None:
        raise InputError("--encoder needs --out BUNDLE, the folder that it goes to")
    try:
        from scar.training.export_encoder import export_encoder
    except ImportError as error:
        raise _no_extra(error) from None
    quiet()
    _print(
        export_encoder(
            values["encoder"],
            values["out"],
            revision=values["revision"],
            max_tokens=values["max_tokens"],
            graphs=values["graphs"] or "auto",
            rows=values["rows"],
            reading=from_flat(Reading, values),
            overwrite=values["overwrite"],
        )
    )


def _print(report: "ExportReport") -> None:
    """Print what became of each graph, and what they are for."""
    table = Table("graph", "gate", "rows", "largest difference", "allowed", "note", box=SIMPLE)
    for record in report.records:
        real, hard = (
            record.get(rows, {"rows": 0, "sigma": None, "max_difference": None}) for rows in ("real", "hard")
        )
        table.add_row(
            record["graph"],
            "passed" if record["passed"] else "unverified" if record.get("unverified") else "refused",
            str(real["rows"] + hard["rows"]),
            _worst(real["max_difference"], hard["max_difference"]),
            _allowed(record, real["sigma"]),
            Text(record["reason"] or _note(record)),
        )
    show(table)
    place = report.bundle
    flags = f"--ranker B --embeddings {place}" if report.kind == ENCODER else f"--ranker {place}"
    print(f"bundle: {place}   next: scar score POOL {flags} --out RUN")


def _allowed(record: dict[str, Any], sigma: float | None) -> str:
    """Write the largest difference that is allowed; in reduced precision other figures decide."""
    return _worst(sigma and 1e-4 * sigma) if record.get("precision", "fp32") == "fp32" else "-"


def _note(record: dict[str, Any]) -> str:
    """Say what became of a graph's operators and products, and what to know about its scores."""
    counts = {**record.get("fused", {}), **record.get("products", {})}
    notes = [f"{n} {name}" for name, n in counts.items()]
    return ", ".join([*notes, *(["scores depend on batch mates"] if record.get("batch_dependent") else [])])


def _publish(values: dict[str, Any]) -> None:
    try:
        from scar.training.hub import push
        from scar.training.hub_folder import export_hub_folder
    except ImportError as error:
        raise _no_extra(error) from None
    quiet()
    if values["folder"]:
        folder = export_hub_folder(values["bundle"], values["folder"], overwrite=values["overwrite"])
        print(f"folder: {folder}   read it back: scar import {folder} --out B")
    if values["repository"]:
        address = push(values["bundle"], values["repository"], private=values["private"])
        print(f"pushed: {address}")


def _no_extra(error: ImportError) -> InputError:
    return InputError(f"export needs the train extra: pip install 'scar-rank[train,cpu]' ({error})")


def _worst(*differences: float | None) -> str:
    """Write the largest difference; null in gates.json stands for one that is not finite."""
    finite = [value for value in differences if value is not None]
    return f"{max(finite):.2g}" if len(finite) == len(differences) else "-"

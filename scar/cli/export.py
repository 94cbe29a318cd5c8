"""`scar export`: a bundle's graphs and their gates."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.table import Table

from scar.cli.parser import Parser, from_flat
from scar.cli.quiet import quiet
from scar.cli.tables import console
from scar.errors import InputError
from scar.settings import Reading


def export(arguments: Sequence[str]) -> None:
    """Export a bundle."""
    parser = Parser(
        "export", "Write a bundle's ONNX graphs into it, each compared with the model on real rows."
    )
    parser.add_argument("bundle", type=Path, help="folder made by `scar train`")
    parser.add_argument("--graphs", type=str, default="auto", help="auto, reference, or reference,fused")
    parser.add_argument("--rows", type=Path, help="pool to compare on; default: rows kept at training")
    parser.add_settings(Reading)
    values = parser.read(arguments)
    try:
        from scar.training.export import export as export_bundle
    except ImportError as error:
        raise InputError(
            f"export needs the train extra: pip install 'scar-rank[train,cpu]' ({error})"
        ) from None
    quiet()
    report = export_bundle(
        values["bundle"], graphs=values["graphs"], rows=values["rows"], reading=from_flat(Reading, values)
    )
    table = Table("graph", "gate", "rows", "largest difference", "allowed", "note", box=SIMPLE)
    for record in report.records:
        real, hard = (
            record.get(rows, {"rows": 0, "sigma": None, "max_difference": None}) for rows in ("real", "hard")
        )
        table.add_row(
            record["graph"],
            "passed" if record["passed"] else "refused",
            str(real["rows"] + hard["rows"]),
            _worst(real["max_difference"], hard["max_difference"]),
            _worst(real["sigma"] and 1e-4 * real["sigma"]),
            record["reason"] or ", ".join(f"{n} {name}" for name, n in record.get("fused", {}).items()),
        )
    console().print(table)
    print(f"bundle: {report.bundle}   next: scar score POOL --ranker {report.bundle} --out RUN")


def _worst(*differences: float | None) -> str:
    """Write the largest difference; null in gates.json stands for one that is not finite."""
    finite = [value for value in differences if value is not None]
    return f"{max(finite):.2g}" if len(finite) == len(differences) else "-"

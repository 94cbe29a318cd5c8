"""`scar gate`: which engines and precisions of this machine give a bundle's scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from scar.cli.parser import Parser, from_flat
from scar.cli.tables import show
from scar.settings import Reading, Scoring

FLAGS = ("engine", "precision", "graph", "device", "batch_tokens", "threads")
COLUMNS = (
    "gate",
    "engine",
    "precision",
    "graph",
    "MB",
    "rows/s",
    "x fp32",
    "max",
    "rms",
    "near",
    "Spearman",
    "top 10 %",
    "top 1 %",
    "hard max",
    "by batch",
)


def gate(arguments: Sequence[str]) -> None:
    """Gate a bundle on this machine."""
    parser = Parser(
        "gate",
        "Compare each engine and precision that this machine has for a bundle with the fp32 reference graph on ONNX "
        "Runtime, on real rows; what passes, --engine auto may use.",
    )
    parser.add_argument("bundle", type=Path, help="bundle with exported graphs")
    parser.add_argument(
        "--rows", type=str, help="pool to compare on; default: rows kept at training, enough for fp32 alone"
    )
    parser.add_argument("--limit", type=int, default=2048, help="most records of the pool")
    parser.add_argument(
        "--gates", type=Path, help="write the records to this file, and leave the bundle alone"
    )
    parser.add_settings(Scoring, only=FLAGS)
    parser.add_settings(Reading)
    values = parser.read(arguments)
    from scar.serving.gates.sweep import gate_bundle

    report = gate_bundle(
        values["bundle"],
        values["rows"],
        asked=from_flat(Scoring, {name: values[name] for name in FLAGS}),
        reading=from_flat(Reading, values),
        limit=values["limit"],
        gates=values["gates"],
    )
    print_gates(report.records)
    file = f" --gates {values['gates']}" if values["gates"] else ""
    print(f"records: {report.written}   next: scar score POOL --ranker {report.bundle} --out RUN{file}")


def print_gates(records: Sequence[Mapping[str, Any]]) -> None:
    """Print the verdict on every candidate; differences are in standard deviations of the reference's scores."""
    table = Table(*COLUMNS, box=SIMPLE, padding=0, pad_edge=False)
    for record in records:
        table.add_row(*_row(record))
    show(table)
    print(
        "x fp32: times the reference graph's speed, timed turn and turn about; max, rms, hard max and by batch in sigma"
    )
    for record in records:
        if record["reason"]:
            print(f"{record['engine']} {record['precision']} {record['graph']}: {record['reason']}")


def _row(record: Mapping[str, Any]) -> list[str]:
    gate = "passed" if record["passed"] else "not judged" if record.get("unverified") else "refused"
    speed, real, hard = record.get("speed", {}), record.get("real", {}), record.get("hard", {})
    sigma = real.get("sigma")
    return [
        gate,
        record["engine"],
        record["precision"],
        record["graph"] or "weights",
        f"{record['bytes'] / 1e6:.1f}",
        _told(speed.get("rows_per_second"), ".1f"),
        _told(speed.get("times"), ".2f"),
        _told(real.get("max_difference"), ".2g", sigma),
        _told(real.get("rms"), ".2g", sigma),
        _told(real.get("within"), ".2%"),
        _told(real.get("spearman"), ".5f"),
        _told(real.get("top_10"), ".3f"),
        _told(real.get("top_1"), ".3f"),
        _told(hard.get("max_difference"), ".2g", sigma),
        _told(record.get("batch_dependence"), ".2g"),
    ]


def _told(value: float | None, form: str, unit: float | None = 1.0) -> str:
    """Write a figure in a unit; null stands for one that is not finite."""
    return "-" if value is None or not unit else format(value / unit, form)

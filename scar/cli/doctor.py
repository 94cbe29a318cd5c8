"""`scar doctor`: what this machine has to score with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.cli.parser import Parser, from_flat
from scar.cli.tables import show
from scar.settings import Scoring

EXTRA_OF = {"onnxruntime": "cpu", "openvino": "openvino", "torch": "train"}
"""Engine -> the extra that brings it."""


def doctor(arguments: Sequence[str]) -> None:
    """Examine this machine."""
    parser = Parser(
        "doctor",
        "What this machine has to score with, and what --engine auto would choose for a bundle on it.",
    )
    parser.add_argument("bundle", type=Path, nargs="?", help="bundle with exported graphs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_settings(Scoring, only=("device", "gates"))
    values = parser.read(arguments)
    from scar.serving.doctor import examine

    found = examine(values["bundle"], from_flat(Scoring, values))
    if values["json"]:
        print(json.dumps(found, indent=2))
        return
    _print_machine(found)
    if found["bundle"]:
        _print_bundle(found["bundle"])


def _print_machine(found: Mapping[str, Any]) -> None:
    table = Table(box=SIMPLE, show_header=False, padding=(0, 1), pad_edge=False)
    for name, engine in found["engines"].items():
        table.add_row(f"engine {name}", Text(_engine(name, engine)))
    chip, count = found["processor"], found["processors"]
    quota = "no quota" if count["quota"] is None else f"a quota of {count['quota']:g}"
    bf16 = "bf16 in hardware" if chip["bf16"] else "no bf16 in hardware"
    table.add_row("GPUs", Text(", ".join(found["cards"]) or "none that the NVIDIA driver shows"))
    table.add_row("processor", Text(f"{chip['machine']}: {', '.join(chip['features']) or 'plain'}; {bf16}"))
    table.add_row(
        "threads",
        f"{count['threads']} (of {count['there']} processors, affinity to {count['affinity']}, {quota})",
    )
    memory = found["memory_available"]
    table.add_row("memory available", "not told" if memory is None else f"{memory / 2**30:.1f} GiB")
    for extra, packages in found["missing_extras"].items():
        # The two wheels of ONNX Runtime exclude each other.
        if extra not in ("cpu", "gpu") or not found["engines"]["onnxruntime"]["installed"]:
            line = f"{', '.join(packages)}: pip install 'scar-rank[{extra}]'"
            table.add_row(f"missing for {extra}", Text(line))
    show(table)


def _engine(name: str, engine: Mapping[str, Any]) -> str:
    if not engine["installed"]:
        return f"not installed: pip install 'scar-rank[{EXTRA_OF[name]}]'"
    told = ", ".join(f"{package} {version}" for package, version in engine["versions"].items())
    if "problem" in engine:
        return f"{told}: {engine['problem']}"
    return told + (f"; {', '.join(engine['providers'])}" if "providers" in engine else "")


def _print_bundle(bundle: Mapping[str, Any]) -> None:
    table = Table(
        "engine", "precision", "graph", "gate", "x fp32", box=SIMPLE, padding=(0, 1), pad_edge=False
    )
    for way in bundle["ways"]:
        times = "-" if way["times"] is None else f"{way['times']:.2f}"
        table.add_row(way["engine"], way["precision"], way["graph"] or "weights", Text(way["gate"]), times)
    show(table)
    auto = bundle["auto"]
    if "error" in auto:
        print(f"auto: {auto['error']}")
        return
    told = " ".join(part for part in (auto["engine"], auto["precision"], auto["graph"]) if part)
    print(f"auto: {told} ({auto['why']})")

"""What this machine has to score with: engines, processors, memory, extras; and what `auto` would choose for a bundle.

Imports no model library but ONNX Runtime, which alone knows its providers.
"""

import os
import platform
import re
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import scar
from scar.bundle import Bundle
from scar.errors import InputError
from scar.serving.candidates import GRAPH_ENGINES, WEIGHT_ENGINES, installed
from scar.serving.choice import Judged, choose, look
from scar.serving.engines import cards, has_bf16, processor, processors, version_of
from scar.serving.engines.machine import granted, memory
from scar.serving.engines.onnx import WHEELS, onnxruntime
from scar.settings import Scoring

EXTRAS = ("cpu", "gpu", "openvino", "train", "hub", "remote", "tiers", "demo")
"""Extras that add something to what the package can do; those of features to come are left out."""


def examine(bundle: Path | None = None, scoring: Scoring | None = None) -> dict[str, Any]:
    """Look at this machine, and at what `auto` would choose for a bundle on it.

    Raises InputError where the bundle is none.
    """
    return {
        "versions": {"scar-rank": scar.__version__, "python": platform.python_version()},
        "engines": {name: _engine(name) for name in (*GRAPH_ENGINES, *WEIGHT_ENGINES)},
        "cards": cards(),
        "processor": processor() | {"bf16": has_bf16()},
        "processors": {
            "there": os.cpu_count(),
            "affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
            "quota": granted(),
            "threads": processors(),
        },
        "memory_available": memory(),
        "missing_extras": missing_extras(),
        "bundle": _bundle(Bundle.open(bundle), scoring or Scoring()) if bundle else None,
    }


def _engine(name: str) -> dict[str, Any]:
    """Tell the version of an engine, where it runs, and what is wrong with it."""
    versions = {
        wheel: have for wheel in (WHEELS if name == "onnxruntime" else (name,)) if (have := version_of(wheel))
    }
    found: dict[str, Any] = {"installed": installed(name), "versions": versions}
    if name != "onnxruntime" or not installed(name):
        return found
    try:
        return found | {"providers": onnxruntime().get_available_providers()}
    except InputError as error:
        return found | {"problem": str(error)}


def missing_extras() -> dict[str, list[str]]:
    """Give the packages that each extra would add; of a copy that was not installed nothing is known."""
    try:
        wanted = requires("scar-rank") or []
    except PackageNotFoundError:
        return {}
    extras: dict[str, list[str]] = defaultdict(list)
    for line in wanted:
        name, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if name and extra and extra[1] in EXTRAS and not version_of(name[0]):
            extras[extra[1]].append(name[0])
    return {name: extras[name] for name in EXTRAS if name in extras}


def _bundle(bundle: Bundle, scoring: Scoring) -> dict[str, Any]:
    """Tell what `auto` would choose and why, or why it could not, and the gate of every way to run the bundle."""
    try:
        choice = choose(bundle, scoring)
        auto = {
            "engine": choice.engine,
            "precision": choice.precision,
            "graph": choice.graph,
            "why": choice.why,
        }
    except InputError as error:
        auto = {"error": str(error)}
    ways = [
        {
            "engine": judged.candidate.engine,
            "precision": judged.candidate.precision,
            "graph": judged.candidate.graph,
            "gate": _gate(judged),
            "times": judged.times,
        }
        for judged in look(bundle, scoring)
    ]
    return {"path": str(bundle.path), "auto": auto, "ways": ways}


def _gate(judged: Judged) -> str:
    if judged.elsewhere:
        return f"passed with another {judged.elsewhere}"
    if not judged.record:
        return "no record"
    where = "here" if judged.here else "elsewhere"
    return f"passed {where}" if judged.passed else f"failed {where}: {judged.record['reason']}"

"""Imports go one way, and the doors that must be light load nothing heavy."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import scar

HOUSE = Path(scar.__file__).parent
HEAVY = {
    "torch",
    "lightning",
    "transformers",
    "datasets",
    "torchmetrics",
    "onnxruntime",
    "openai",
    "openvino",
}
LIGHT_DOORS = [
    "scar",
    "scar.pools",
    "scar.inspection",
    "scar.rules",
    "scar.selection.keep",
    "scar.report.page",
    "scar.serving.run",
    "scar.serving.filter",
    "scar.serving.evaluate",
    "scar.serving.gates.sweep",
    "scar.serving.doctor",
    "scar.tiers.ask",
    "scar.tiers.join",
    "scar.tiers.send",
    "scar.cli",
]
LAYERS = (
    {"records", "errors", "settings", "files", "folders", "change", "bundle", "tokens", "ranks", "stages"},
    {"formats", "encoding", "evaluation", "calibration", "card", "original"},
    {"pools", "runs"},
    {"selection", "rules", "tiers", "inspection"},
    {"report"},
    {"serving"},
    {"training"},
    {"cli"},
    {"__main__"},
)
SERVING_SIDE = [
    "formats",
    "original",
    "encoding",
    "evaluation",
    "calibration",
    "pools",
    "runs",
    "selection",
    "rules",
    "tiers",
    "report",
    "serving",
]


def loaded_by(statement):
    """Give the top-level modules that a fresh interpreter holds after a statement."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize("module", LIGHT_DOORS)
def test_a_light_door_loads_no_model_library(module):
    assert not loaded_by(f"import {module}") & HEAVY


def test_the_front_door_loads_no_array_library_either():
    assert not loaded_by("import scar") & {
        *HEAVY,
        "numpy",
        "pyarrow",
        "tokenizers",
        "yaml",
        "rich",
        "jsonargparse",
    }


def test_every_public_name_resolves():
    assert all(getattr(scar, name) is not None for name in scar.__all__)
    assert set(scar.__all__) <= set(dir(scar))


def test_at_most_fourteen_names_are_public():
    assert len(scar.__all__) == len(set(scar.__all__)) <= 14


def test_public_names_load_no_model_library():
    assert not loaded_by("from scar import *") & HEAVY


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'scorer'"):
        _ = scar.scorer


def test_names_that_type_checkers_see_are_those_that_resolve():
    tree = ast.parse((HOUSE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == {name: home for name, home in scar._HOMES.items() if name != "rules"}


def imported(body):
    """Yield the modules that statements import at once; functions and TYPE_CHECKING are skipped."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imported(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "finalbody", "handlers"):
                yield from imported(getattr(node, part, []))


def modules():
    """Yield (room, file, what it imports at module level) for every file but the front door."""
    for path in sorted(HOUSE.rglob("*.py")):
        inside = path.relative_to(HOUSE)
        if inside.as_posix() != "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield inside.parts[0].removesuffix(".py"), inside, set(imported(tree.body))


def level(room):
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def test_every_file_stands_in_a_layer():
    assert {room for room, _, _ in modules()} <= set().union(*LAYERS)


def test_imports_go_to_the_own_or_a_lower_layer():
    wrong = [
        f"{file} imports {name}"
        for room, file, names in modules()
        for name in names
        if name.startswith("scar.")
        and name.split(".")[1] in set().union(*LAYERS)
        and level(name.split(".")[1]) > level(room)
    ]
    assert wrong == []


def test_rooms_of_one_layer_but_the_lowest_do_not_need_each_other_in_a_circle():
    uses = {room: set() for rooms in LAYERS for room in rooms}
    for room, _, names in modules():
        uses[room] |= {name.split(".")[1] for name in names if name.startswith("scar.")} - {room}
    while free := {room for room, used in uses.items() if not used & uses.keys()}:
        uses = {room: used for room, used in uses.items() if room not in free}
    assert uses == {}


def test_the_serving_side_imports_no_model_library_at_module_level():
    wrong = [
        f"{file} imports {name}"
        for room, file, names in modules()
        for name in names
        if room in SERVING_SIDE and name.split(".")[0] in HEAVY
    ]
    assert wrong == []


def test_the_check_sees_what_it_looks_for():
    code = "try:\n    import torch\nexcept ImportError:\n    from scar import cli\n"
    code += "def f():\n    import lightning\n"
    assert set(imported(ast.parse(code).body)) == {"torch", "scar", "scar.cli"}

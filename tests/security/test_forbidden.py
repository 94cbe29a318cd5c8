"""What the code must not call, and what must not be installed with it. Read from the sources, so that it stays so."""

import ast
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(
    path for folder in ("scar", "train", "serve", "data") for path in (ROOT / folder).rglob("*.py")
)
CHECKPOINTS = "scar/training/checkpoints.py"
NEVER_CALLED = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.full_load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.load",
    "torch.ops.load_library",
    "shutil.unpack_archive",
    "register_custom_ops_library",
    "add_extension",
    "load_from_checkpoint",
    "extractall",
}
NEVER_IMPORTED = {"joblib", "dill", "marshal", "shelve", "cloudpickle", "imp"}
ALLOWED = {(CHECKPOINTS, "torch.load")}
"""Where it is told to load nothing but tensors."""
GRAPHS_OF_OUR_OWN = {
    "scar/training/graphs/write.py",
    "scar/training/graphs/fuse.py",
    "scar/training/reduced/products.py",
    "scar/training/reduced/observe.py",
    "scar/training/reduced/w8.py",
}
"""They read what the export of the same moment wrote to a folder of its own."""


def calls(path):
    """Yield (dotted name, node) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def forbidden(path):
    for name, node in calls(path):
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        last = name.rpartition(".")[2]
        method = last in NEVER_CALLED and "." in name and last not in ("compile", "eval", "exec")
        if name in NEVER_CALLED or method:
            yield name
        if keywords.get("shell", "False") != "False":
            yield f"{name}(shell=...)"
        if keywords.get("trust_remote_code", "False") != "False":
            yield f"{name}(trust_remote_code=...)"
        if keywords.get("allow_pickle", "False") != "False":
            yield f"{name}(allow_pickle=...)"
        if name == "torch.load" and keywords.get("weights_only") != "True":
            yield "torch.load without weights_only"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.partition(".")[0] in NEVER_IMPORTED)


def test_no_code_is_loaded_from_data():
    found = {(path.relative_to(ROOT).as_posix(), what) for path in SOURCES for what in forbidden(path)}
    assert found == ALLOWED


def test_the_check_sees_what_it_looks_for(tmp_path):
    code = (
        "import dill, torch\nfrom joblib import load\neval('1')\ntorch.load('a')\nm.load_from_checkpoint('a')\n"
        "run('a', shell=True)\nf(trust_remote_code=True)\nnp.load('a', allow_pickle=x)\n"
        "options.register_custom_ops_library('x')\n"
        "model.eval()\nre.compile('a')\n"
    )
    (tmp_path / "a.py").write_text(code)
    assert sorted(forbidden(tmp_path / "a.py")) == [
        "dill",
        "eval",
        "f(trust_remote_code=...)",
        "joblib",
        "m.load_from_checkpoint",
        "np.load(allow_pickle=...)",
        "options.register_custom_ops_library",
        "run(shell=...)",
        "torch.load",
        "torch.load without weights_only",
    ]


def test_every_model_and_config_of_transformers_is_loaded_without_code_of_a_repository():
    """The default is no; it is said all the same wherever a folder of a stranger can come in."""
    loose = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "scar" / "training").rglob("*.py")
        for name, node in calls(path)
        if name.endswith(".from_pretrained") and name.startswith("Auto")
        if "trust_remote_code" not in {word.arg for word in node.keywords}
    ]
    assert loose == []


def test_graphs_are_read_by_onnx_only_where_they_are_our_own():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for name, _ in calls(path)
        if name in ("onnx.load", "onnx.load_model", "onnx_ir.load")
    }
    assert found == GRAPHS_OF_OUR_OWN


BAD = {
    "lightning": ["2.6.2", "2.6.3", "2.6.5", "2.4"],
    "pytorch-lightning": ["2.6.2", "2.6.3", "2.6.5"],
    "torch": ["2.5.1", "2.9.1"],
    "onnx": ["1.17", "1.20.1"],
    "jsonargparse": ["4.40", "4.51"],
}
"""Malicious releases; code from a checkpoint; weights_only that is not kept; external data that follows links; no means
to keep a recipe from importing what it names."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WANTED = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
]
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["lightning", "torch", "onnx", "jsonargparse"])
def test_no_requirement_lets_a_bad_release_in(name):
    found = [requirement for requirement in WANTED if requirement.name == name]
    assert found
    for requirement in found:
        assert not [bad for bad in BAD[name] if bad in requirement.specifier]


@pytest.mark.parametrize("name", BAD)
def test_no_bad_release_is_pinned_or_installed(name):
    for release in (PINNED[name], version(name)):
        assert release not in BAD[name]
        assert Version(release) > max(map(Version, BAD[name]))


def test_no_requirement_comes_from_elsewhere_than_the_index():
    assert not [requirement for requirement in WANTED if requirement.url]

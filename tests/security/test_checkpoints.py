"""Checkpoints from strangers: no code of a file runs, no small file fills the memory. Each is refused with a word."""

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scar.bundle import GATE_ROWS, WEIGHTS, seal
from scar.cli import main
from scar.errors import InputError
from scar.serving.gates import load_gate_rows
from scar.training.state import LAST, STATE
from tests.make import tier_rows, tiny_classifier, write_jsonl

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return tiny_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def copy(classifier, tmp_path):
    return Path(shutil.copytree(classifier, tmp_path / "copy"))


class Payload:
    """Unpickled, it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def payload(tmp_path):
    """Code that works where pickles are trusted: the test fails where its mark is there at the end."""
    made = Payload(tmp_path / "ran")
    done = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"], input=pickle.dumps(made)
    )
    assert done.returncode == 0 and made.path.is_dir(), "the payload works"
    made.path.rmdir()
    yield made
    assert not made.path.exists()


def refused(capsys, *command):
    assert main([str(word) for word in command]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("scar: error: ")
    return line


def imported(capsys, folder, tmp_path):
    return refused(capsys, "import", folder, "--out", tmp_path / "out")


def trained_on(capsys, folder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(8))
    return refused(
        capsys,
        "train",
        "style",
        "--data",
        data,
        "--encoder",
        folder,
        "--out",
        tmp_path / "out",
        "--max_tokens",
        32,
    )


def as_pickle(folder, content=None):
    """Put a PyTorch file in the place of the safetensors."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(weights if content is None else {**weights, **content}, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("use", [imported, trained_on])
@pytest.mark.parametrize("how", ["bare", "torch", "safetensors"])
def test_a_pickle_runs_nothing_under_whatever_name(use, how, copy, payload, tmp_path, capsys):
    if how == "safetensors":
        (copy / WEIGHTS).write_bytes(pickle.dumps(payload))
    elif how == "torch":
        as_pickle(copy, {"_instantiator": payload})
    else:
        as_pickle(copy).write_bytes(pickle.dumps(payload))
    assert str(copy) in use(capsys, copy, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["_instantiator", "hyper_parameters", "state_dict"])
def test_a_training_is_not_gone_on_from_a_state_with_code(where, settings, payload, tmp_path, capsys):
    """Lightning up to 2.6.5 called what stands under `_instantiator`, also where it was told to load weights only."""
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(8))
    words = ["train", "style", "--data", data, "--out", tmp_path / "out", "--encoder", settings.encoder]
    words += ["--max_tokens", "32", "--epochs", "1"]
    folder = tmp_path / "out.training"
    state = {"state_dict": {}, "loops": {}, "callbacks": {}, "pytorch-lightning_version": "2.6.0", "epoch": 0}
    code = {"_instantiator": payload} if where != "_instantiator" else payload
    made = begun(words, folder)
    torch.save({**state, where: code}, made)
    assert "last.ckpt: refused: " in refused(capsys, *words)
    torch.save({**state, "hyper_parameters": {"_instantiator": "os.mkdir", "path": str(payload.path)}}, made)
    assert main([str(word) for word in words]) != 0  # its weights do not fit; nothing is called
    made.write_bytes(b"PK\x03\x04 damaged")
    assert "--overwrite starts the training anew" in refused(capsys, *words)


def begun(words, folder):
    """Begin a training and end it at once, as a kill would; gives the place of its state."""
    program = (
        "import os, sys\nfrom scar.cli import main\nfrom scar.training.learner import Learner\n"
        "Learner.on_train_start = lambda self: os._exit(9)\nmain(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], cwd=ROOT, capture_output=True)
    assert done.returncode == 9 and (folder / STATE).is_file(), done.stderr
    return folder / LAST


def test_the_state_of_a_training_is_not_imported(copy, payload, tmp_path, capsys):
    as_pickle(copy, {"hyper_parameters": payload}).rename(copy / "last.ckpt")
    assert "pickled state of a training" in imported(capsys, copy, tmp_path)


@pytest.mark.parametrize("use", [imported, trained_on])
def test_a_file_that_unpacks_to_gigabytes_is_refused_unread(use, copy, tmp_path, capsys):
    file, whole = as_pickle(copy), io.BytesIO()
    whole.write(file.read_bytes())
    with zipfile.ZipFile(whole) as parts, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        for part in parts.infolist():
            with bomb.open(part.filename, "w", force_zip64=True) as stream:
                stream.write(bytes(1 << 28) if part.filename.endswith("/0") else parts.read(part))
    assert file.stat().st_size < 1 << 20
    assert "is packed, which torch.save never does" in use(capsys, copy, tmp_path)


def test_a_tensor_that_repeats_one_number_a_trillion_times_is_refused(copy, tmp_path, capsys):
    as_pickle(copy, {"x": torch.zeros(1).expand(1 << 20, 1 << 20)})
    assert "refused: its tensors are 4,398," in imported(capsys, copy, tmp_path)


def header(content, body=b"", length=None):
    told = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(told) if length is None else length) + told + body


def part(shape, start, end):
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


FORGED = {
    "no header": b"\xff" * 8,
    "long header": header({}, length=1 << 62),
    "huge header": header(b'{"__metadata__":{"a":"' + b"x" * (101 << 20) + b'"}}'),
    "deep header": header(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no object": header([1, 2]),
    "beyond the end": header({"a": part([4], 0, 1 << 40)}, bytes(16)),
    "before the start": header({"a": part([4], -16, 0)}, bytes(16)),
    "overlapping": header({"a": part([4], 0, 16), "b": part([4], 0, 16)}, bytes(16)),
    "overlapping in part": header({"a": part([4], 0, 16), "b": part([4], 8, 24)}, bytes(24)),
    "a hole": header({"a": part([4], 0, 16), "b": part([1], 20, 24)}, bytes(24)),
    "large shape": header({"a": part([1 << 62, 1 << 62], 0, 16)}, bytes(16)),
    "shape of another size": header({"a": part([5], 0, 16)}, bytes(16)),
    "unknown type": header({"a": {**part([4], 0, 16), "dtype": "O"}}, bytes(16)),
}


@pytest.mark.parametrize("use", [imported, trained_on])
@pytest.mark.parametrize("forged", FORGED)
def test_forged_safetensors_are_refused(use, forged, copy, tmp_path, capsys):
    (copy / WEIGHTS).write_bytes(FORGED[forged])
    assert str(copy) in use(capsys, copy, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("forged", [*FORGED, "not a number"])
def test_a_bundle_with_forged_weights_is_refused_by_all_who_read_them(forged, bundle, tmp_path, capsys):
    folder = Path(shutil.copytree(bundle, tmp_path / "b"))
    if forged in FORGED:
        (folder / WEIGHTS).write_bytes(FORGED[forged])
    else:
        weights = {name: tensor * float("nan") for name, tensor in load_file(folder / WEIGHTS).items()}
        save_file(weights, folder / WEIGHTS)
    seal(folder)
    pool = write_jsonl(tmp_path / "pool.jsonl", [{"instruction": "a", "response": "b"}] * 3)
    assert "model.safetensors" in refused(capsys, "export", folder)
    assert "model.safetensors" in refused(
        capsys, "score", pool, "--ranker", folder, "--engine", "torch", "--out", tmp_path / "run"
    )


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/etc/passwd", "a\\b", 7])
@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("use", [imported, trained_on])
def test_an_index_that_names_files_elsewhere_is_refused(use, kind, name, copy, tmp_path, capsys):
    shutil.move(copy / WEIGHTS, tmp_path / "elsewhere.safetensors")
    names = dict.fromkeys(load_file(tmp_path / "elsewhere.safetensors"), name)
    (copy / f"{kind}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    assert "is not a file of this folder" in use(capsys, copy, tmp_path)


def test_an_adapter_that_names_another_model_is_refused(copy, tmp_path, capsys):
    (copy / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "evil/model", "peft_type": "LORA"}'
    )
    for use in (imported, trained_on):
        assert "merge it into its model first" in use(capsys, copy, tmp_path)


HUGE = {"hidden_size": 40_000, "intermediate_size": 200_000}
CODE = {"auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (HUGE, "parameters, the weights are at most"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_hidden_layers": "a"}, ""),
        ({"hidden_size": -4}, ""),
        ({"vocab_size": 10**12}, "parameters, the weights are at most"),
        (CODE | {"model_type": "evil"}, "custom code"),
    ],
    ids=["wide", "deep", "text", "negative", "words", "code"],
)
@pytest.mark.parametrize("use", [imported, trained_on])
def test_a_config_of_another_size_or_with_code_is_refused(use, config, told, copy, tmp_path, capsys):
    known = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(known | config))
    code = "import pathlib\npathlib.Path('ran').touch()\nclass Config: pass\nclass Model: pass\n"
    (copy / "evil.py").write_text(code)
    line = use(capsys, copy, tmp_path)
    assert told in line and not (Path.cwd() / "ran").exists()


def test_a_config_that_is_deeper_than_any_is_refused(copy, tmp_path, capsys):
    (copy / "config.json").write_text("[" * 100_000)
    for use in (imported, trained_on):
        assert "config.json: not readable as JSON" in use(capsys, copy, tmp_path)


def arrays(bundle):
    with np.load(bundle / GATE_ROWS) as found:
        return dict(found)


GATE = {
    "objects": {"ids": np.array([{}], dtype=object)},
    "no offsets": {"offsets": None},
    "beyond the ids": {"offsets": np.array([0, 1 << 40])},
    "backwards": {"offsets": np.array([0, 9, 3])},
    "empty": {"offsets": np.array([], dtype=np.int64)},
    "floats": {"ids": np.zeros(9)},
    "negative ids": {"ids": np.full(9, -1, dtype=np.int32), "offsets": np.array([0, 9])},
    "no such text": {"texts": np.array([[0, 1 << 40]])},
    "flat": {"texts": np.array([0, 0])},
    "large": {"ids": np.zeros(1 << 26, dtype=np.int32)},
}


@pytest.mark.parametrize("forged", GATE)
def test_forged_gate_rows_are_refused(forged, bundle, tmp_path):
    made = arrays(bundle) | GATE[forged]
    np.savez_compressed(
        tmp_path / GATE_ROWS, **{name: array for name, array in made.items() if array is not None}
    )
    with pytest.raises(InputError, match="gate_rows.npz"):
        load_gate_rows(tmp_path / GATE_ROWS)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", b"PK\x05\x06" + bytes(18)])
def test_gate_rows_that_are_no_arrays_are_refused(data, payload, tmp_path):
    (tmp_path / GATE_ROWS).write_bytes(data)
    with pytest.raises(InputError, match="gate_rows.npz"):
        load_gate_rows(tmp_path / GATE_ROWS)
    (tmp_path / GATE_ROWS).write_bytes(pickle.dumps(payload))
    with pytest.raises(InputError, match="gate_rows.npz"):
        load_gate_rows(tmp_path / GATE_ROWS)

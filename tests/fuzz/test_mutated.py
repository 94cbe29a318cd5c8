"""Files that chance has damaged: no crash, no hang, only InputError, and every row that is read accounted for."""

import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutate import KINDS, mutated, valid

ROOM = 6 << 30
BATCH = 150
"""Files of one child."""
SECONDS = 90
ROOT = Path(__file__).parents[2]


def outcomes(paths):
    """Read files in one child after the other; gives what was told of each, and what became of those that ended one."""
    told, lost = {}, {}
    paths = [str(path) for path in paths]
    while paths:
        command = [sys.executable, "-m", "tests.fuzz.reading", *paths]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM)),
            )
            out, why = done.stdout, f"exit {done.returncode}: {done.stderr[-1500:]}"
        except subprocess.TimeoutExpired as error:
            out, why = (error.stdout or b"").decode(), "hangs"
        for line in out.splitlines():
            one = json.loads(line)
            told[one["file"]] = one
        left = [path for path in paths if path not in told]
        if left:
            lost[left[0]] = why
        paths = left[1:]
    return told, lost


def fuzz(folder, seed, files):
    """Damage so many files of each type, and read them."""
    paths = []
    for kind in KINDS:
        rng = random.Random(f"{kind} {seed}")
        for number in range(files):
            paths.append(folder / f"{kind.replace('.', '-')}-{number}.{kind}")
            paths[-1].write_bytes(mutated(kind, rng))
    told, lost = {}, {}
    for start in range(0, len(paths), BATCH):
        more, ended = outcomes(paths[start : start + BATCH])
        told, lost = told | more, lost | ended
    assert not lost, "\n".join(f"{path}: {why}" for path, why in lost.items())
    return list(told.values())


def check_mixed(told, files):
    assert len(told) == files * len(KINDS)
    refused = [each for each in told if "refused" in each]
    read = [each for each in told if each.get("rows")]
    assert len(refused) > len(told) // 10 and len(read) > len(told) // 10
    assert all(each["items"] >= each["rows"] for each in read)


def test_files_that_are_whole_are_read(tmp_path):
    paths = []
    for kind in KINDS:
        for number in range(4):
            paths.append(tmp_path / f"{number}.{kind}")
            paths[-1].write_bytes(valid(kind, random.Random(f"{kind} {number}")))
    told, lost = outcomes(paths)
    assert not lost and all(each.get("rows") for each in told.values()), (told, lost)


def test_some_damaged_files(tmp_path):
    check_mixed(fuzz(tmp_path, "quick", 6), 6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_damaged_files(seed, tmp_path):
    check_mixed(fuzz(tmp_path, seed, 60), 60)

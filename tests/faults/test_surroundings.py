"""Locale, time zone, clock, hash seed and umask leave no trace in what is written."""

import os
import stat
import subprocess
import sys

import pytest

from tests.faults.pools import assert_invariant, contents
from tests.faults.processes import ROOT

PLACES = {
    "C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "far east": {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"},
    "hash seed": {"PYTHONHASHSEED": "12345"},
    "no hash seed": {"PYTHONHASHSEED": "0", "TZ": "America/St_Johns"},
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_process_elsewhere_writes_the_same_bytes(job, reference, tmp_path, place):
    run = tmp_path / "run"
    words = [sys.executable, "-m", "scar", *map(str, job.words(run))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **PLACES[place]}
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_invariant(job, run, reference)


def clock(shift):
    """Set another clock, and let it jump."""
    import time

    real, count = time.time, 0

    def now():
        nonlocal count
        count += 1
        return real() + shift * (-1) ** count

    time.time = now


@pytest.mark.parametrize("shift", [-1e9, 3e9])
def test_another_clock_writes_the_same_bytes(job, reference, tmp_path, shift):
    done = job.run(tmp_path / "run", before="tests.faults.test_surroundings:clock", given={"shift": shift})
    assert done.code == 0
    assert_invariant(job, tmp_path / "run", reference)


def mask(bits):
    """Set the umask."""
    os.umask(bits)


@pytest.mark.parametrize("bits", [0o000, 0o022, 0o077])
def test_files_have_the_rights_that_the_user_s_mask_leaves(job, reference, tmp_path, bits):
    run = tmp_path / "run"
    assert job.run(run, before="tests.faults.test_surroundings:mask", given={"bits": bits}).code == 0
    assert_invariant(job, run, reference)
    for path in run.rglob("*"):
        whole = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == whole & ~bits, path


def close_streams():
    """Be started without standard streams, as some schedulers do."""
    for number in range(3):
        os.close(number)


def test_a_process_without_streams_prints_into_no_file_of_the_run(job, reference, tmp_path):
    run = tmp_path / "run"
    assert job.run(run, before="tests.faults.test_surroundings:close_streams").code == 0
    assert_invariant(job, run, reference)


def test_another_folder_to_stand_in_writes_the_same_bytes(job, reference, tmp_path):
    assert job.run("run", cwd=tmp_path).code == 0
    assert contents(tmp_path / "run") == contents(reference)

"""Driver scripts: `scar score` in a process of its own, with patches that hold in its worker processes too.

A spawned worker imports the script as `__mp_main__`, so what stands at its top is done there as well.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
import numpy as np

HERE = Path(__file__).parent
WORKER = __name__ != "__main__"
{patch}

if __name__ == "__main__":
    from scar.cli import main
    sys.exit(main(sys.argv[1:]))
"""
FATAL = """
from scar.serving.workers import worker
from scar.serving.workers.messages import Answer
answer = worker._answer

def fatal(scorers, task, tell):
    for record in task.records:
        if "{word}" in record.response:
            {deed}
    return answer(scorers, task, tell)

worker._answer = fatal
"""
"""A patch that does a deed in a worker wherever a response holds a word."""


def script(folder, patch=""):
    """Write a driver script into a folder."""
    path = Path(folder) / "driver.py"
    path.write_text(SCRIPT.format(patch=patch))
    return path


def start(folder, *arguments, patch="", **more):
    """Start `scar` with a patch; the process leads a group of its own, so that a test can signal all of it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(script(folder, patch)), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        **more,
    )


def drive(folder, *arguments, patch="", timeout=120):
    """Run `scar` with a patch to its end; gives the process with `out`, `err` and its return code."""
    process = start(folder, *arguments, patch=patch)
    try:
        process.out, process.err = process.communicate(timeout=timeout)
    finally:
        end(process)
    return process


def end(process):
    """Kill whatever is left of a process and its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def group(process):
    """List the living processes of a process's group, zombies left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == process.pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def score(pool, bundle, run, *flags):
    """Give the arguments of `scar score`."""
    return ["score", pool, "--ranker", bundle, "--out", run, *flags]

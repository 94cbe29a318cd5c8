"""Run `scar` as real processes, many of them quickly: each is forked off a parent that has imported everything.

`python -m tests.faults.processes` is that parent. It has one thread and loads no engine, so its children are as if new.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRELOADED = (
    "numpy pyarrow.parquet tokenizers scar.cli.score scar.cli.runs scar.cli.select scar.cli.progress "
    "scar.serving.run scar.serving.verify scar.serving.status scar.serving.filter scar.serving.workers "
    "scar.selection.keep pandas py3langid.langid"
).split()


@dataclass
class Done:
    """How a process ended."""

    code: int
    """Exit status; minus the signal's number where one ended it."""
    out: str
    err: str


class Process:
    """One `scar` command under way."""

    def __init__(self, parent, pid, folder):
        self._parent, self.pid, self._folder = parent, pid, folder
        self._code = None

    def send(self, number):
        """Send a signal, to a process that may have ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self):
        """Give the exit status, None while it runs."""
        if self._code is None:
            self._code = self._parent.ask({"poll": self.pid})
        return self._code

    def wait(self, seconds=60.0):
        """Wait for the end."""
        until = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"still running after {seconds} s: {self.err}")
            time.sleep(0.005)
        return Done(code, (self._folder / "out").read_text(), self.err)

    @property
    def err(self):
        """What it has written to standard error."""
        return (self._folder / "err").read_text()


class Parent:
    """Starts processes; one a test session."""

    def __init__(self, folder):
        self._folder, self._count = folder, 0
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.processes"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()

    def ask(self, request):
        """Send a line, read a line."""
        with self._lock:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())

    def start(self, *arguments, before="", given=None, environment=None, cwd=None):
        """Start `scar ARGUMENTS`; `before`, as "module:function", is called in it first with `given`."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir(parents=True)
        request = {
            "arguments": [str(each) for each in arguments],
            "folder": str(folder),
            "before": before,
            "given": given or {},
            "environment": environment or {},
            "cwd": str(cwd or folder),
        }
        return Process(self, self.ask(request), folder)

    def run(self, *arguments, seconds=60.0, **how):
        """Start and wait."""
        return self.start(*arguments, **how).wait(seconds)

    def close(self):
        """End the parent; its children are dead by then."""
        self._server.stdin.close()
        self._server.wait(30)


def _serve():
    for module in PRELOADED:
        importlib.import_module(module)
    ended = {}
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "poll" in request:
            answer = _poll(request["poll"], ended)
        else:
            assert _threads() == 1, "threads would not live on in a child"
            if (pid := os.fork()) == 0:
                return _child(request)
            answer = pid
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


def _threads():
    """Count threads, but for one of Arrow's memory pool, which knows of forks."""
    names = (Path(f"/proc/self/task/{number}/comm").read_text() for number in os.listdir("/proc/self/task"))
    return sum(not name.startswith("jemalloc") for name in names)


def _poll(pid, ended):
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended.get(pid)


def _child(request):
    os.setpgid(0, 0)
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["cwd"])
    for number, name in ((0, os.devnull), (1, "out"), (2, "err")):
        path = os.path.join(request["folder"], name)
        handle = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["before"]:
        module, _, function = request["before"].partition(":")
        getattr(importlib.import_module(module), function)(**request["given"])
    from scar.cli import main

    return main(request["arguments"])


if __name__ == "__main__":
    sys.exit(_serve())

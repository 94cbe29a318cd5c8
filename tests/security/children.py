"""Processes of their own for whole commands, with a watch on what they ask of the network."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        target = arguments[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else arguments[0]
        # Two processes of one machine talk through files, not through the network.
        if isinstance(target, (str, bytes)) and event == "socket.connect":
            return
        with open(os.environ["ASKED"], "a") as out:
            out.write(f"{event} {target!r} {sys.argv}\\n")
        raise OSError("the network is shut")
sys.addaudithook(watch)
"""
"""Runs in every Python process before anything else: no library can have kept a function that it replaces."""
HF = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")


class Child:
    """Runs `scar` commands in processes of their own, in a folder."""

    def __init__(self, folder, *, shut=False, **environment):
        self.folder = folder
        self.asked = folder.parent / f"{folder.name}.asked"
        place = folder.parent / f"{folder.name}.site"
        place.mkdir()
        if shut:
            (place / "sitecustomize.py").write_text(WATCH)
        plain = {name: value for name, value in os.environ.items() if name not in HF}
        paths = os.pathsep.join([str(place), str(ROOT)])
        home = folder.parent / f"{folder.name}.home"
        home.mkdir()
        self.environment = {
            **plain,
            **{"PYTHONPATH": paths, "HOME": str(home), "ASKED": str(self.asked), "OMP_NUM_THREADS": "1"},
            **environment,
        }
        self.output = ""

    def scar(self, *words, code=0):
        """Run a command; gives what it printed."""
        return self.python("-m", "scar", *words, code=code)

    def python(self, *words, code=0):
        """Run Python."""
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        told = done.stdout + done.stderr
        self.output += told
        assert done.returncode == code, told
        return told

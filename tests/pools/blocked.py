"""Run a few lines in a process of their own, where some modules cannot be imported or the network is shut."""

import os
import subprocess
import sys

_START = """
import socket, sys
from importlib.abc import MetaPathFinder
class Wall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names!r}:
            raise ImportError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Wall())
if {offline!r}:
    def shut(*_, **__):
        raise AssertionError('the network was asked')
    socket.socket.connect = socket.getaddrinfo = shut
from scar.errors import InputError
from scar.pools import find
"""


def said(code, *, without=(), offline=False, **environment):
    """Give what the lines print; they must not fail."""
    start = _START.format(names=set(without), offline=offline)
    done = subprocess.run(
        [sys.executable, "-c", start + code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(place, **more):
    """Give the message with which a place is refused."""
    return said(f"try:\n    find({place!r})\nexcept InputError as error:\n    print(error)", **more)

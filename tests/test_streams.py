"""Standard streams that are closed, full, gone, or know few characters: no command stumbles over them."""

import os
import socket
import subprocess
import sys

import pytest

from scar.cli import streams
from tests.faults.processes import ROOT

SCAR = f"{sys.executable} -m scar"


def shell(command, **more):
    """Run a line of the shell, in which `scar` is a command; gives the exit codes of its parts and what is told."""
    line = command.replace("scar ", f"{SCAR} ", 1) + "; echo ${PIPESTATUS[@]} >&9"
    reading, writing = os.pipe()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    done = subprocess.run(
        ["bash", "-c", f"exec 9>&{writing}; {line}"],
        capture_output=True,
        env=environment,
        pass_fds=[writing],
        check=False,
    )
    os.close(writing)
    with open(reading) as stream:
        return [int(code) for code in stream.read().split()], done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "unbuffered", "codes", "told"),
    [
        ("scar --version >&-", "", [0], ""),
        ("scar status x <&- >&- 2>&-", "", [2], ""),
        ("scar --nothing 2>/dev/full", "", [2], ""),
        ("scar --version >/dev/full", "", [1], "scar: error: standard output: No space left on device\n"),
        ("scar --version >/dev/full", "1", [1], "scar: error: standard output: No space left on device\n"),
        ("scar --help | true", "", [0, 0], ""),
        ("scar --help | true", "1", [0, 0], ""),
    ],
)
def test_a_stream_that_takes_nothing_is_no_defect(command, unbuffered, codes, told):
    assert shell(command, PYTHONUNBUFFERED=unbuffered) == (codes, told)


OPENED = """
import os, sys
from scar.cli import streams
streams.set_up()
print([os.open(sys.argv[1], os.O_RDONLY) > 2, [os.get_inheritable(number) for number in range(3)]], file=sys.__stdout__)
print(input() if sys.stdin.readline() else "nothing", file=open(sys.argv[2], "w"))
"""


def test_no_file_stands_where_a_stream_was(tmp_path):
    """What is printed would be written into it."""
    closed = f"{sys.executable} -c '{OPENED}' {__file__} {tmp_path / 'out'}"
    done = subprocess.run(["bash", "-c", f"{closed} <&- 2>&-"], capture_output=True, cwd=ROOT, check=False)
    assert done.stdout.decode() == "[True, [True, True, True]]\n"
    assert (tmp_path / "out").read_text() == "nothing\n"


def test_a_screen_that_knows_few_characters_shows_the_others_by_number(tmp_path):
    few = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    program = "from scar.cli import streams; streams.set_up(); print('gr\\xf6\\ufffd')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env={**os.environ, **few}, cwd=ROOT, check=True
    )
    assert done.stdout == b"gr\\xf6\\ufffd\n"


@pytest.mark.parametrize("pair", [os.pipe, lambda: [end.detach() for end in socket.socketpair()]])
def test_a_reader_that_has_gone_is_seen(pair):
    reading, writing = pair()
    with open(writing, "w") as stream:
        assert not streams.broken(stream)
        os.close(reading)
        assert streams.broken(stream)

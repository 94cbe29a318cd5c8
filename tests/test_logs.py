"""The log's lines, in a process of their own: it is set up once a process."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, warnings
from scar.cli import logs
logs.set_up(as_json="json" in sys.argv)
logs.event("chunk", {"rows": 3, "place": __import__("pathlib").Path("a")})
logging.getLogger("scar").info("of %d\\nlines", 2)
logging.getLogger("library").info("too much")
warnings.warn("beware")
try:
    1 / 0
except ZeroDivisionError:
    print(logs.crashed())
print(logs.failed(2, "a line\\nand  another"))
"""


def told(*words):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def test_machines_get_one_object_a_line():
    codes, err = told("json")
    lines = [json.loads(line) for line in err.splitlines()]
    assert codes == ["1", "2"]
    assert lines[0] == {"level": "info", "message": "chunk", "event": "chunk", "rows": 3, "place": "a"}
    assert lines[1] == {"level": "info", "message": "of 2\nlines"}
    assert lines[2]["level"] == "warning" and "beware" in lines[2]["message"]
    assert lines[3]["exit"] == 1 and "ZeroDivisionError" in lines[3]["traceback"]
    assert lines[4] == {"level": "error", "message": "a line and another", "exit": 2} and len(lines) == 5


def test_people_get_lines():
    codes, err = told()
    assert codes == ["1", "2"]
    assert err.startswith("of 2\nlines\n") and "UserWarning: beware" in err and "too much" not in err
    assert err.endswith("ZeroDivisionError: division by zero\nscar: error: a line and another\n")


@pytest.mark.parametrize("words", [["--log-json"], ["score", "--log-json"]])
def test_the_flag_stands_anywhere(words):
    done = subprocess.run(
        [sys.executable, "-m", "scar", *words, "--no-such"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and json.loads(done.stderr)["exit"] == 2

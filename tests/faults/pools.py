"""The pool, the command and the reference that fault tests share, and what must hold after each fault."""

import gzip
import json
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scar.files import TEMP
from scar.runs import INPUTS, RUN
from scar.serving.ledger import Counts
from tests.make import pool_rows

CHUNK_ROWS = 5


def write_pool(folder, rows=1000):
    """Write a pool of several types of file, with blank lines and rows that are set aside."""
    folder.mkdir(parents=True)
    plain, packed = rows * 2 // 5, rows * 3 // 10
    lines = [json.dumps(row).encode() for row in pool_rows(plain, seed="a")]
    for number in range(3, plain, 17):
        lines[number] = b'{"instruction": "what", "resp'
    for number in range(7, plain, 29):
        lines[number] = json.dumps({"instruction": "größer?", "response": None}, ensure_ascii=False).encode()
    (folder / "a.jsonl").write_bytes(
        b"\n".join(b"\n" + line if n % 11 == 0 else line for n, line in enumerate(lines))
    )
    with open(folder / "b.jsonl.gz", "wb") as stream:
        for start in range(0, packed, 40):
            rows_of_member = pool_rows(packed, seed="b")[start : start + 40]
            stream.write(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows_of_member)))
    pq.write_table(
        pa.Table.from_pylist(pool_rows(rows - plain - packed, seed="c")),
        folder / "c.parquet",
        row_group_size=50,
    )
    return folder


@dataclass(frozen=True)
class Job:
    """`scar score` of one pool with one bundle, as often as a test wants."""

    parent: object
    pool: Path
    bundle: Path
    chunk_rows: int = CHUNK_ROWS
    flags: tuple[str, ...] = ()
    """Of every one of its commands."""

    def words(self, out, *more, command="score"):
        """Give the command line."""
        return (
            *(command, self.pool, "--ranker", self.bundle, "--out", out, "--engine", "onnxruntime"),
            *("--chunk-rows", self.chunk_rows, "--threads", 1, "--carry", "source", *self.flags, *more),
        )

    def start(self, out, *more, command="score", **how):
        """Start it."""
        return self.parent.start(*self.words(out, *more, command=command), **how)

    def run(self, out, *more, command="score", **how):
        """Run it to its end."""
        return self.parent.run(*self.words(out, *more, command=command), **how)


class Gate:
    """Keeps processes from committing more than a few chunks until it is opened."""

    def __init__(self, path, chunks=2):
        self._path = path
        path.touch()
        given = {"step": "scar.serving.session:commit", "gate": str(path), "nth": chunks + 1}
        self.how = {"before": "tests.faults.kills:wait_at", "given": given}

    def open(self):
        """Let them go on."""
        self._path.unlink()


def contents(run):
    """Give the bytes of every file of a run that must be the same in every run: `.inputs.json` tells times."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in (RUN, INPUTS)
    }


def counted(run):
    """Give what run.json says of the whole run, and not of the last process alone."""
    return Counts.of(json.loads((run / RUN).read_bytes()))


def entries(run):
    """Count the chunks that are done."""
    folder = run / "ledger"
    return sum(not name.name.startswith(".") for name in folder.iterdir()) if folder.is_dir() else 0


def is_temp(name):
    """Tell whether a file was left by a process that was killed while it wrote."""
    return name.startswith(".") and name.endswith(TEMP)


def wait_for(what, seconds=30.0):
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.002)
    return found


def assert_invariant(job, run, reference):
    """The output is that of an uninterrupted run, byte for byte; it verifies; nothing else lies about."""
    mine, theirs = contents(run), contents(reference)
    assert sorted(mine) == sorted(theirs)
    assert [name for name in mine if mine[name] != theirs[name]] == []
    assert counted(run) == counted(reference)
    checked = job.parent.run("verify", run, "--check")
    assert checked.code == 0 and ", 0 damaged" in checked.out, checked

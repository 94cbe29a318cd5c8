"""Plan and read a pool in a process that may not take more than so much memory."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOM = 4 << 30
"""Bytes of address space of the child."""
READ = """
import json, sys
from collections import Counter
from scar.errors import InputError
from scar.pools import RowReader, cut, find, read_chunks
from scar.serving.engines.machine import peak_memory
from scar.settings import Reading
told = {"rows": 0, "planned": 0, "items": {}, "addresses": [], "error": None}
try:
    files = find(sys.argv[1])
    facts, chunks = cut(files, 1024)
    told["planned"] = sum(fact.rows for fact in facts)
    reader, items = RowReader(files, Reading(format="plain")), Counter()
    for chunk, rows in read_chunks(files, chunks):
        if told["rows"] >= int(sys.argv[2]):
            break
        for row in rows:
            told["rows"] += 1
            for item in reader.parse(row).items:
                items[str(getattr(item, "reason", "record"))] += 1
            told["addresses"] = told["addresses"][:9] + [[row.address.row, row.address.line]]
    told["items"] = items
except InputError as error:
    told["error"] = str(error)
print(json.dumps({**told, "mib": peak_memory() / 2**20}))
"""


def read(path, rows=1 << 40, room=ROOM):
    """Read at least so many rows, where there are.

    Give what the child tells: rows planned and read, what became of them, its peak in MiB, and the error if any.
    """
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(rows)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)),
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return json.loads(done.stdout)

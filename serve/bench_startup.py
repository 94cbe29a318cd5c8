"""Where the time of `scar score` goes from its start to the first scored batch.

    python serve/bench_startup.py POOL --ranker BUNDLE

Each round is a process of its own that takes the steps of `scar.serving.run.score_pool` one after the other, each
timed, on the first rows of the pool; then one that types the command, timed whole to its first batch, to check the sum.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from scar.pools import find, rows_of

STEPS = """
import json, sys, time
marks = [("python", time.time())]
def mark(name):
    marks.append((name, time.time()))
started, pool, ranker, out = float(sys.argv[1]), *sys.argv[2:]
import scar.cli.score
mark("import: command line")
import scar.serving.run
mark("import: scoring (numpy, pyarrow, tokenizers)")
from scar.pools import RowReader, cut, find
from scar.serving.engines import Runtime
from scar.serving.engines.onnx import onnxruntime
from scar.settings import Reading, Scoring
onnxruntime()
mark("import: onnxruntime")
files = find(pool)
reader = RowReader(files, Reading())
mark("pool: layout")
from scar.serving.rankers import open_bundles
(bundle,) = open_bundles(ranker)
mark("bundle: checksums")
from scar.encoding import PairEncoder
PairEncoder.of_bundle(bundle)
mark("tokenizer")
from scar.serving.scorer import Scorer
scorer = Scorer.of_bundle(bundle, Scoring())
mark("graphs (and the tokenizer again)")
from scar.pools import cut
_, chunks = cut(files, scorer.scoring.chunk_rows)
mark("plan")
from scar.serving.crew import Crew
from scar.serving.pipeline import Threads, read_chunks
class First(Exception): pass
def first(*_):
    raise First
try:
    list(Threads(Crew([scorer]), first).run(read_chunks(files, chunks, reader)))
except First:
    mark("first batch: read, tokenise, run")
before = [started] + [at for _, at in marks]
assert "torch" not in sys.modules
print(json.dumps({name: at - earlier for (name, at), earlier in zip(marks, before)}))
"""
WHOLE = """
import sys, time
from pathlib import Path
from scar.cli.progress import Bar
def first(self, *_):
    print(time.time() - float(sys.argv[1]), flush=True)
    sys.stdout.flush()
    import os
    os._exit(0)
Bar.batch = first
from scar.cli import main
main(["score", sys.argv[2], "--ranker", sys.argv[3], "--out", sys.argv[4]])
"""


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("--ranker", type=Path, required=True, help="exported bundle")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        pool = Path(temp) / "pool.jsonl"
        rows = islice(rows_of(find(arguments.pool)), arguments.rows)
        pool.write_bytes(b"".join(row.json() + b"\n" for row in rows))
        wholes, steps = [], []
        for number in range(arguments.rounds):
            steps.append(json.loads(child(STEPS, pool, arguments.ranker, Path(temp) / f"a{number}")))
            wholes.append(float(child(WHOLE, pool, arguments.ranker, Path(temp) / f"b{number}")))
    for name in steps[0]:
        show(name, [each[name] for each in steps])
    show("all steps", [sum(each.values()) for each in steps])
    show("the command, to its first batch", wholes)


def child(program: str, pool: Path, ranker: Path, out: Path) -> str:
    """Run a program in a process of its own, told when it was started; gives what it printed last."""
    command = [sys.executable, "-c", program, str(time.time()), str(pool), str(ranker), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


def show(name: str, seconds: list[float]) -> None:
    """Print the median, and the least and the most."""
    print(f"{name:<46}{statistics.median(seconds):6.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()

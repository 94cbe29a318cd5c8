"""Peak memory and time of `scar score` on a pool, and on ten times as many rows.

    python serve/bench_memory.py POOL

The pipeline is in question, not the model: the encoder is one random layer over the demo encoder's tokenizer. Every
run is a process of its own, its peak that of the operating system's accounting; a pool with too few rows is read
again from its start. `--ranker BUNDLE --rows 2000` measures a real bundle on so many rows instead.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from scar.pools import Row, find, rows_of

SCORE = """
import sys
from scar.cli import main
from scar.serving.engines.machine import peak_memory
code = main(sys.argv[1:])
print(peak_memory())
sys.exit(code)
"""
"""`scar` that ends by telling its own peak: a parent is told of no less than its own."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--ranker", type=Path, help="bundle to use instead of the one-layer encoder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        ranker = arguments.ranker or one_layer_bundle(folder)
        figures = []
        for rows in arguments.rows:
            pool = folder / f"{rows}.jsonl"
            with open(pool, "wb") as out:
                out.writelines(row.json() + b"\n" for row in islice(repeated(arguments.pool), rows))
            figures.append(measure(rows, pool, ranker, folder / f"run-{rows}"))
    (few, peak, seconds), *others = zip(arguments.rows, *zip(*figures, strict=True), strict=True)
    for rows, more, longer in others:
        print(
            f"{rows / few:.3g} times the rows: peak {more / peak - 1:+.1%}, time {longer / seconds:.2f} times"
        )


def repeated(pool: Path) -> Iterator[Row]:
    """Yield the rows of a pool, again and again."""
    while True:
        yield from rows_of(find(pool))


def measure(rows: int, pool: Path, ranker: Path, out: Path) -> tuple[float, float]:
    """Score a pool in a process of its own; gives its peak resident memory in MiB, and the seconds of scoring."""
    score = [sys.executable, "-c", SCORE, "score", str(pool), "--ranker", str(ranker), "--out", str(out)]
    process = subprocess.run(score, stdout=subprocess.PIPE, text=True)
    if process.returncode:
        sys.exit(f"scar score failed on {pool}")
    peak, seconds = (
        int(process.stdout.split()[-1]) / 2**20,
        json.loads((out / "run.json").read_bytes())["seconds"],
    )
    print(f"{rows:>9,} rows{peak:8.0f} MiB  {seconds:7.1f} s", flush=True)
    return peak, seconds


def one_layer_bundle(folder: Path) -> Path:
    """Make, train for one step and export a bundle with a random encoder of one layer."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    from scar.training.demo_encoder import NAME
    from scar.training.sources import find as find_encoder

    found = find_encoder(NAME).path
    config = AutoConfig.from_pretrained(found)
    config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size = (
        1,
        64,
        2,
        128,
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder / "encoder")  # type: ignore[no-untyped-call]
    AutoTokenizer.from_pretrained(found).save_pretrained(folder / "encoder")
    sample = Path(__file__).parent.parent / "data"
    subprocess.run([sys.executable, str(sample / "build.py"), "--out", str(folder / "data")], check=True)
    scar = [sys.executable, "-m", "scar"]
    train = [
        "train",
        "style",
        "--encoder",
        str(folder / "encoder"),
        "--data",
        str(folder / "data" / "tiers.train.jsonl"),
    ]
    bundle = folder / "bundle"
    subprocess.run([*scar, *train, "--out", str(bundle), "--trainer.max_steps", "1"], check=True)
    subprocess.run([*scar, "export", str(bundle)], check=True)
    return bundle


if __name__ == "__main__":
    main()

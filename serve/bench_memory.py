"""Peak memory of `scar score` on a pool, and on the same pool several times over.

    python serve/bench_memory.py POOL --out FOLDER

The pipeline is in question, not the model: the encoder is one random layer over the demo encoder's tokenizer. Every
run is a process of its own, its peak that of the operating system's accounting. `--ranker BUNDLE --rows N` measures
the first N rows under a real bundle instead.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from scar.pools import find, rows_of


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("--times", type=int, default=3, help="how often the pool stands in the large one")
    parser.add_argument("--ranker", type=Path, help="bundle to use instead of the one-layer encoder")
    parser.add_argument("--rows", type=int, help="only the first rows of the pool, once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        ranker = arguments.ranker or one_layer_bundle(folder)
        if arguments.rows:
            small = folder / "rows.jsonl"
            rows = islice(rows_of(find(arguments.pool)), arguments.rows)
            small.write_bytes(b"".join(row.json() + b"\n" for row in rows))
            measure("first rows", small, ranker, folder / "run-rows")
            return
        once = measure("pool", arguments.pool, ranker, folder / "run-once")
        large = folder / "large"
        large.mkdir()
        for number in range(arguments.times):
            (large / f"{number}-{arguments.pool.name}").symlink_to(arguments.pool.absolute())
        more = measure(f"pool x {arguments.times}", large, ranker, folder / "run-more")
        print(f"peak memory {more / once - 1:+.1%}")


def measure(name: str, pool: Path, ranker: Path, out: Path) -> float:
    """Score a pool in a process of its own; gives its peak resident memory in MiB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "scar", "score", str(pool), "--ranker", str(ranker), "--out", str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    shown = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"scar score failed on {pool}")
    peak = usage.ru_maxrss / 1024
    read = next(line for line in shown.splitlines() if line.startswith("read "))
    print(f"{name:<12}{peak:8.0f} MiB  {time.perf_counter() - started:7.1f} s   {read}", flush=True)
    return peak


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

"""Rows/s of `scar score` beside the original's `score_pairs`: same rows, encoder and lengths, in turn.

    python serve/bench_score.py POOL --ranker BUNDLE

Ours scores the first --rows rows of the pool in a process of its own; the time is that of run.json: reading,
tokenising, scoring and committing, without start-up, planning and loading. The original scores every --every-th of
these rows in batches of 32, loaded and warm, in this process. `--json FILE` keeps the figures.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from scar.bundle import Bundle
from scar.pools import find, rows_of
from scar.serving.engines import processors
from scar.serving.scorer import Scorer


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path)
    parser.add_argument("--ranker", type=Path, required=True, help="exported bundle")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        pool = Path(temp) / "pool.jsonl"
        rows = [row.json() for row in islice(rows_of(find(arguments.pool)), arguments.rows)]
        pool.write_bytes(b"".join(row + b"\n" for row in rows))
        original = Original(arguments.ranker, [json.loads(row) for row in rows[:: arguments.every]])
        rounds = []
        for number in range(arguments.rounds):
            ours = score(pool, arguments.ranker, Path(temp) / f"run{number}")
            theirs = original.rows_per_second()
            rounds.append({"ours": ours, "scar_tool": theirs, "ratio": ours["rows_per_second"] / theirs})
            print(f"round {number + 1}: {rounds[-1]}", flush=True)
    report(rounds, arguments)


def score(pool: Path, ranker: Path, out: Path) -> dict[str, float]:
    """Score the pool through the command line; gives rows/s of the run, and seconds of the whole process."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "scar", "score", str(pool), "--ranker", str(ranker), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - started
    summary = json.loads((out / "run.json").read_text())
    rate, tokens = summary["rows"] / summary["seconds"], summary["tokens"] / summary["seconds"]
    return {
        "rows_per_second": rate,
        "tokens_per_second": tokens,
        "padding": summary["padding"],
        "process_seconds": whole,
    }


class Original:
    """The original's model with our encoder and random heads; its speed does not depend on their weights."""

    def __init__(self, ranker: Path, rows: list[dict[str, Any]]) -> None:
        """Load it, and warm it up on a batch."""
        from style_ranker.ranker.model import StyleRanker, StyleRankerConfig
        from transformers import AutoTokenizer

        from scar.training.sources import find as find_encoder

        bundle = Bundle.open(ranker).ranker
        encoder = str(find_encoder(bundle["encoder"]["name"]).path)
        config = StyleRankerConfig(
            encoder, hidden_dim=bundle["encoder"]["hidden_size"], linear_dim=bundle["head"]["width"]
        )
        self.model, self.tokenizer = StyleRanker(config).eval(), AutoTokenizer.from_pretrained(encoder)
        self.length = bundle["text"]["max_tokens"]
        usable = Scorer.load(ranker).explain(rows)
        self.rows = [row for row, told in zip(rows, usable, strict=True) if told.score is not None]
        self.rows_per_second(32)

    def rows_per_second(self, most: int | None = None) -> float:
        """Time `score_pairs` over the rows."""
        from style_ranker.rank import score_pairs

        rows = self.rows[:most]
        if len(rows) % 32 == 1:
            rows = rows[:-1]  # on a last batch of one the original crashes
        instructions, answers = [row["instruction"] for row in rows], [row["response"] for row in rows]
        started = time.perf_counter()
        scores = score_pairs(self.model, self.tokenizer, instructions, answers, self.length, 32, "cpu")
        assert len(scores) == len(rows)
        return len(rows) / (time.perf_counter() - started)


def report(rounds: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Print medians and spread."""
    ours = [entry["ours"]["rows_per_second"] for entry in rounds]
    theirs = [entry["scar_tool"] for entry in rounds]
    ratios = [entry["ratio"] for entry in rounds]
    print(
        f"machine: {platform.machine()}, {processors()} processors; {arguments.rows} rows, {len(rounds)} rounds in turn"
    )
    for name, values in (("scar score", ours), ("scar-tool", theirs)):
        print(f"{name:<12}{statistics.median(values):8.1f} rows/s   ({min(values):.1f} to {max(values):.1f})")
    print(f"{'ratio':<12}{statistics.median(ratios):8.2f}          ({min(ratios):.2f} to {max(ratios):.2f})")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()

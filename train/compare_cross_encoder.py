"""Our quality classifier beside sentence-transformers' CrossEncoder: same pairs, encoder, rate, batch size, one epoch.

    SCAR_DATA=... python train/compare_cross_encoder.py --out compare

A fixed sample of $SCAR_DATA/preferences.jsonl.gz: 2,000 pairs to train and 1,000 to test, none `eval_only`, no
instruction on both sides. 256 tokens. Each contender is a process of its own, timed whole: reading, training, scoring
the test pairs. The peer learns by RankNet (Burges et al. 2005), which over two responses is Bradley-Terry's loss: the
very loss that ours has.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.evaluation import evaluate_judged
from scar.pools import read_judged
from scar.records import Judged, instruction_key

RECIPE = Path(__file__).parent / "quality-minilm.yaml"
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
TRAIN, TEST, TOKENS, BATCH, LR, WARMUP, SEED = 2000, 1000, 256, 16, 5e-5, 0.1, 42
RESAMPLES = 10_000

Scores = NDArray[np.float64]


def main() -> None:
    """Run what is missing of the comparison, then print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("compare"), help="folder of sample, bundle, figures")
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        WORKERS[arguments.worker](arguments.out)
        return
    if "SCAR_DATA" not in os.environ:
        sys.exit("SCAR_DATA is not set: name the folder that holds preferences.jsonl.gz")
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_sample(Path(os.environ["SCAR_DATA"]) / "preferences.jsonl.gz", arguments.out)
    for name in WORKERS:
        if not (arguments.out / f"{name}.json").exists():
            run(name, arguments.out)
    report(arguments.out)


def write_sample(source: Path, out: Path) -> None:
    """Write the fixed sample: instructions in a seeded order, whole, first the test's, then the training's."""
    by_instruction: dict[str, list[bytes]] = {}
    with gzip.open(source) as lines:
        for line, item in zip(lines, read_judged(source), strict=True):
            if isinstance(item, Judged) and not item.eval_only:
                by_instruction.setdefault(instruction_key(item), []).append(line)
    keys = sorted(by_instruction)
    order = iter(np.random.default_rng(SEED).permutation(len(keys)))
    for name, wanted in (("test", TEST), ("train", TRAIN)):
        rows: list[bytes] = []
        while len(rows) < wanted:
            rows += by_instruction[keys[next(order)]]
        (out / f"{name}.jsonl").write_bytes(b"".join(rows[:wanted]))


def run(name: str, out: Path) -> None:
    """Run one contender in a process of its own, and write its wall time beside its scores."""
    started = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--worker", name, "--out", str(out)], check=True)
    seconds = time.perf_counter() - started
    scores = json.loads((out / f"{name}.scores.json").read_text())
    (out / f"{name}.json").write_text(json.dumps({"seconds": seconds, "scores": scores}))


def rows_of(out: Path, part: str) -> list[Judged]:
    """Read a part of the sample."""
    return [row for row in read_judged(out / f"{part}.jsonl") if isinstance(row, Judged)]


def ours(out: Path) -> None:
    """Train by the command that a user types, then score the test pairs with the bundle's weights."""
    from scar.bundle import Bundle
    from scar.cli import main as scar
    from scar.encoding import PairEncoder
    from scar.training.engine import torch_model
    from scar.training.quality.data import pairs_of
    from scar.training.save import load_ranker

    flags = {
        "config": RECIPE,
        "data": out / "train.jsonl",
        "out": out / "bundle",
        "epochs": 1,
        "max_tokens": TOKENS,
        "batch_size": BATCH,
        "lr": LR,
        "warmup": WARMUP,
        "margins": "ignore",  # those of different sources do not compare
        "validation_share": 0,
        "test_share": 0,
        "seed": SEED,
    }
    typed = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    if code := scar(["train", "quality", *typed, "--overwrite"]):
        sys.exit(code)
    bundle = Bundle.open(out / "bundle")
    encoder = PairEncoder.of_bundle(bundle)
    pairs = encoder.encode(pairs_of(rows_of(out, "test")))
    scores = torch_model(load_ranker(bundle), encoder.settings.pad_id, 2048).score(pairs)
    (out / "ours.scores.json").write_text(json.dumps(scores.astype(float).tolist()))


def cross_encoder(out: Path) -> None:
    """Train sentence-transformers' CrossEncoder on the same rows, then score the test pairs."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
    )
    from sentence_transformers.cross_encoder.losses import RankNetLoss

    from scar.training.sources import find

    model = CrossEncoder(str(find(ENCODER).path), num_labels=1, max_length=TOKENS, device="cpu")
    train = rows_of(out, "train")
    data = Dataset.from_dict(
        {
            "query": [row.turns[0].text for row in train],
            "docs": [list(row.responses) for row in train],
            "labels": [[1.0, 0.0]] * len(train),
        }
    )
    arguments = CrossEncoderTrainingArguments(
        output_dir=str(out / "cross_encoder"),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=LR,
        warmup_steps=WARMUP,
        seed=SEED,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer: Any = CrossEncoderTrainer(
        model=model, args=arguments, train_dataset=data, loss=RankNetLoss(model)
    )
    trainer.train()
    texts = [(row.turns[0].text, text) for row in rows_of(out, "test") for text in row.responses]
    scores = model.predict(texts, batch_size=BATCH, activation_fn=None, show_progress_bar=False)
    (out / "cross_encoder.scores.json").write_text(json.dumps([float(score) for score in scores]))


WORKERS = {"ours": ours, "cross_encoder": cross_encoder}


def report(out: Path) -> None:
    """Print accuracy by source for both and the length baselines, the paired interval, and the wall times."""
    rows = rows_of(out, "test")
    done = {name: json.loads((out / f"{name}.json").read_text()) for name in WORKERS}
    found = {
        name: evaluate_judged(rows, np.asarray(each["scores"], dtype=np.float64), "pairs")
        for name, each in done.items()
    }
    mine, theirs = found["ours"], found["cross_encoder"]
    print(f"{'accuracy':>24} {'n':>6} {'ours':>22} {'CrossEncoder':>22} {'longest':>8} {'shortest':>9}")
    parts = [("all", mine["overall"], theirs["overall"])]
    parts += [(source, part, theirs["sources"][source]) for source, part in mine["sources"].items()]
    for title, our_part, their_part in parts:
        for kind in ("all", "length_matched"):
            a, b = our_part[kind], their_part[kind]["ranker"]
            name = title if kind == "all" else f"{title}, matched"
            rest = " ".join(
                f"{a[who][mine['measure']]:>8.1%}" if a[who]["n"] else "-" for who in ("longest", "shortest")
            )
            print(f"{name:>24} {a['ranker']['n']:>6} {_share(a['ranker'])} {_share(b)} {rest}")
    low, high = paired(rows, *(np.asarray(each["scores"]) for each in done.values()))
    print(f"ours - CrossEncoder: [{low:+.1%}, {high:+.1%}] (95 %, instructions redrawn {RESAMPLES} times)")
    for name, each in done.items():
        print(
            f"{name}: {each['seconds']:.0f} s, length correlation {found[name]['length_correlation']['spearman']:.2f}"
        )
    print(f"time: {done['ours']['seconds'] / done['cross_encoder']['seconds']:.2f} of the CrossEncoder's")


def _share(figure: dict[str, Any]) -> str:
    if not figure["n"]:
        return f"{'-':>22}"
    return f"{figure['accuracy']:>7.1%} [{figure['low']:.1%} {figure['high']:.1%}]"


def paired(rows: list[Judged], ours: Scores, theirs: Scores) -> tuple[float, float]:
    """Give the 95 % interval of the difference of the accuracies, instructions redrawn."""
    right = [(scores[0::2] > scores[1::2]).astype(float) for scores in (ours, theirs)]
    keys: dict[str, int] = {}
    groups = np.asarray([keys.setdefault(instruction_key(row), len(keys)) for row in rows])
    sums = np.bincount(groups, right[0] - right[1])
    counts = np.bincount(groups)
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()

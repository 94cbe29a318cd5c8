"""Our style ranker beside the original's own trainer (`scar-tool`): same rows, folds, seed, encoder, rate, batch size.

    SCAR_DATA=... python train/compare_scar_tool.py --out compare.json

The complete triples among the rows of $SCAR_DATA/tiers.jsonl.gz that are not `eval_only`, 5 folds by instruction,
2 epochs, 256 tokens. Each training is a process of its own, one after the other. The original cuts its rows 80/10/10
by a fixed seed and chooses the epoch on one of the small parts: ours gets the very same training and validation rows.
Its score files hold a constant, its constraint mode is `none`. Figures of finished folds are kept in --out: a killed
comparison goes on.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from scar.pools import read_tiers
from scar.records import Tiers

TIERS = ("direct", "referenced", "human")
RECIPE = Path(__file__).parent / "style-minilm.yaml"
FOLDS, EPOCHS, TOKENS, SEED, LR, BATCH, WIDTH = 5, 2, 256, 42, 5e-5, 4, 512
RESAMPLES = 10_000

Row = dict[str, Any]


def main() -> None:
    """Run what is missing of the comparison, then print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("compare.json"))
    parser.add_argument("--worker", choices=["scar-tool"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        scar_tool_worker(arguments.folder)
        return
    if "SCAR_DATA" not in os.environ:
        sys.exit("SCAR_DATA is not set: name the folder that holds tiers.jsonl.gz")
    rows = complete_triples(Path(os.environ["SCAR_DATA"]) / "tiers.jsonl.gz")
    done: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for fold in range(FOLDS):
        if str(fold) not in done:
            done[str(fold)] = run_fold(rows, fold)
            arguments.out.write_text(json.dumps(done, indent=1))
    report(done)


def complete_triples(path: Path) -> list[Row]:
    """Read the rows that have all three tiers and may be trained on."""
    items = [row for row in read_tiers(path) if isinstance(row, Tiers) and not row.eval_only]
    triples = [row for row in items if set(row.responses) == set(TIERS)]
    return [{"instruction": row.turns[0].text, "responses": dict(row.responses)} for row in triples]


def folds_of(rows: list[Row]) -> np.ndarray[Any, Any]:
    """Give each row's fold; rows with the same instruction share one."""
    keys = sorted({row["instruction"] for row in rows})
    order = np.random.default_rng(SEED).permutation(len(keys))
    fold = {keys[place]: number % FOLDS for number, place in enumerate(order)}
    return np.array([fold[row["instruction"]] for row in rows])


def run_fold(rows: list[Row], fold: int) -> dict[str, Any]:
    """Train both on the fold's rows, and score its held-out rows with both."""
    from sklearn.model_selection import train_test_split

    folds = folds_of(rows)
    rest, held_out = (
        [r for r, f in zip(rows, folds, strict=True) if f != fold],
        [r for r, f in zip(rows, folds, strict=True) if f == fold],
    )
    # As StyleRankerTrainer.prepare_data_loaders does.
    train, other = train_test_split(rest, test_size=0.2, random_state=42)
    _, validation = train_test_split(other, test_size=0.5, random_state=42)
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        write_original_layout(folder, rest)
        for name, part in (("train", train), ("validation", validation), ("held_out", held_out)):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
        theirs = run_scar_tool(folder)
        ours = run_ours(folder, held_out)
    print(
        f"fold {fold}: {len(train)} rows, seconds an epoch {ours['epochs']} ours, {theirs['epochs']} scar-tool"
    )
    return {"rows": len(held_out), "ours": ours, "scar_tool": theirs}


def run_ours(folder: Path, held_out: list[Row]) -> dict[str, Any]:
    """Train through the command line, then score the held-out rows with the weights of the bundle."""
    bundle = folder / "bundle"
    command = [
        sys.executable,
        "-m",
        "scar",
        "train",
        "style",
        "--config",
        str(RECIPE),
        "--out",
        str(bundle),
        "--data",
        str(folder / "train.jsonl"),
        "--validation",
        str(folder / "validation.jsonl"),
        "--epochs",
        str(EPOCHS),
        "--max_tokens",
        str(TOKENS),
        "--seed",
        str(SEED),
        "--lr",
        str(LR),
        "--batch_size",
        str(BATCH),
        "--head_width",
        str(WIDTH),
        "--test_share",
        "0",
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    (metrics,) = folder.glob("bundle.training/logs/version_0/metrics.csv")
    with open(metrics, newline="") as stream:
        epochs = [float(row["epoch_seconds"]) for row in csv.DictReader(stream) if row.get("epoch_seconds")]
    return {"epochs": epochs, "seconds": seconds, "scores": our_scores(bundle, held_out)}


def our_scores(bundle: Path, rows: list[Row]) -> list[list[float]]:
    """Score every row's tiers in torch, in the order of TIERS."""
    from scar.bundle import Bundle
    from scar.encoding import PairEncoder
    from scar.records import Turn
    from scar.training.engine import torch_model
    from scar.training.save import load_ranker

    opened = Bundle.open(bundle)
    encoder = PairEncoder.of_bundle(opened)
    pairs = encoder.encode(
        ((Turn("user", row["instruction"]),), row["responses"][tier]) for row in rows for tier in TIERS
    )
    scores = torch_model(load_ranker(opened), encoder.settings.pad_id, 2048).score(pairs)
    return [[float(score) for score in row] for row in scores.reshape(-1, len(TIERS))]


def write_original_layout(folder: Path, rows: list[Row]) -> None:
    """Write the original's three JSON lists, and score files that hold a constant."""
    for tier in TIERS:
        items = [{"instruction": row["instruction"], "output": row["responses"][tier]} for row in rows]
        (folder / f"{tier}.json").write_text(json.dumps(items))
        scores = {f"Instruction: {item['instruction']}Answer: {item['output']}": 5.0 for item in items}
        (folder / f"{tier}_score.json").write_text(json.dumps(scores))


def run_scar_tool(folder: Path) -> dict[str, Any]:
    """Run the original's trainer in a process of its own."""
    command = [sys.executable, __file__, "--worker", "scar-tool", "--folder", str(folder)]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"scar-tool failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads((folder / "scar_tool.json").read_text())
    return {**result, "seconds": time.perf_counter() - started}


def scar_tool_worker(folder: Path) -> None:
    """Seed, train with the original's classes, time its epochs, score the held-out rows."""
    import torch
    from style_ranker.rank import score_pairs
    from style_ranker.ranker import train as original

    from scar.training.sources import find

    files = {f"{tier}_file_path": str(folder / f"{tier}.json") for tier in TIERS}
    for tier in TIERS:
        for aspect in ("correct", "help"):
            files[f"{tier}_{aspect}_score_path"] = str(folder / f"{tier}_score.json")
    arguments = argparse.Namespace(
        encoder_name=str(find("sentence-transformers/all-MiniLM-L6-v2").path),
        hidden_dim=384,
        linear_dim=WIDTH,
        score_type="help_correct",
        disentangle=True,
        constraint_mode="none",
        constraint_min=5.0,
        constraint_max=10.0,
        train_batch_size=BATCH,
        val_batch_size=16,
        test_batch_size=32,
        learning_rate=LR,
        num_epochs=EPOCHS,
        display_interval=100,
        model_path=str(folder / "scar_tool"),
        disentangle_loss_weight=0.1,
        max_text_length=TOKENS,
        **files,
    )
    torch.manual_seed(SEED)
    epochs: list[float] = []
    plain = original.StyleRankerTrainer.train_epoch

    def timed(self: Any, *rest: Any) -> Any:
        started = time.perf_counter()
        result = plain(self, *rest)
        epochs.append(time.perf_counter() - started)
        return result

    original.StyleRankerTrainer.train_epoch = timed
    trainer = original.StyleRankerTrainer(arguments)
    trainer.train()
    rows = [json.loads(line) for line in (folder / "held_out.jsonl").read_text().splitlines()]
    instructions = [row["instruction"] for row in rows for _ in TIERS]
    answers = [row["responses"][tier] for row in rows for tier in TIERS]
    scores = score_pairs(trainer.model, trainer.tokenizer, instructions, answers, TOKENS, 32, trainer.device)
    table = np.asarray(scores).reshape(-1, len(TIERS)).tolist()
    (folder / "scar_tool.json").write_text(json.dumps({"epochs": epochs, "scores": table}))


def right(scores: list[list[float]]) -> np.ndarray[Any, Any]:
    """Give for each row the share of its three tier pairs that are in strict order."""
    table = np.asarray(scores)
    share: np.ndarray[Any, Any] = np.mean(
        [table[:, a] > table[:, b] for a, b in ((0, 1), (0, 2), (1, 2))], axis=0
    )
    return share


def report(done: dict[str, Any]) -> None:
    """Print accuracies, their paired difference with a bootstrap interval, and the seconds of an epoch."""
    ours, theirs = (
        np.concatenate([right(fold[who]["scores"]) for fold in done.values()])
        for who in ("ours", "scar_tool")
    )
    random = np.random.default_rng(SEED)
    drawn = random.integers(0, len(ours), (RESAMPLES, len(ours)))
    low, high = np.quantile((ours - theirs)[drawn].mean(axis=1), [0.025, 0.975])
    seconds = {
        who: float(np.median([s for f in done.values() for s in f[who]["epochs"]]))
        for who in ("ours", "scar_tool")
    }
    ratios = [np.sum(f["ours"]["epochs"]) / np.sum(f["scar_tool"]["epochs"]) for f in done.values()]
    print(f"{len(ours)} rows, {FOLDS} folds, {EPOCHS} epochs, {TOKENS} tokens, seed {SEED}")
    print(f"ordering accuracy: ours {ours.mean():.1%}, scar-tool {theirs.mean():.1%}")
    print(
        f"difference {(ours - theirs).mean():+.1%}, paired bootstrap 95 % interval {low:+.1%} to {high:+.1%}"
    )
    print(f"median seconds an epoch: ours {seconds['ours']:.1f}, scar-tool {seconds['scar_tool']:.1f}")
    print(
        f"ratio ours / scar-tool by fold: median {np.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    )


if __name__ == "__main__":
    main()

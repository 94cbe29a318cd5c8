"""The demo: build the sample, train, export, filter, all through the `scar` command; then say what came of it.

make demo      or      python data/demo.py --out demo
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from scar.evaluation import evaluate
from scar.pools import read_tiers
from scar.records import Tiers
from scar.selection.scored import Scored

ROOT = Path(__file__).parent.parent
TIERS = ("direct", "referenced", "human")
CUTS = (80, 160)


def main() -> None:
    """Run every step, then print the summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything that is made")
    out = parser.parse_args().out
    started = time.perf_counter()
    data, ranker, kept = out / "data", out / "ranker", out / "kept.jsonl"
    run("python", ROOT / "data" / "build.py", "--out", data)
    run(
        "scar",
        "train",
        "style",
        "--config",
        ROOT / "train" / "style-minilm.yaml",
        "--data",
        data / "tiers.train.jsonl",
        "--validation",
        data / "tiers.validation.jsonl",
        "--test",
        data / "tiers.test.jsonl",
        "--out",
        ranker,
        "--overwrite",
    )
    run("scar", "export", ranker)
    run(
        "scar",
        "filter",
        data / "pool.jsonl",
        "--ranker",
        ranker,
        "--top",
        CUTS[-1],
        "--out",
        kept,
        "--carry",
        "source",
        "--keep-scores",
        "--overwrite",
    )
    summarise(data, ranker, Path(f"{kept}.run"), kept)
    print(f"all of it took {(time.perf_counter() - started) / 60:.1f} minutes")


def run(program: str, *arguments: object) -> None:
    """Show a command, run it, and stop where it fails."""
    words = [program, *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    real = [sys.executable] if program == "python" else [sys.executable, "-m", "scar"]
    if subprocess.run([*real, *words[1:]]).returncode:
        sys.exit(f"the demo stopped: `{shlex.join(words)}` failed")


def summarise(data: Path, ranker: Path, scores: Path, kept: Path) -> None:
    """Print held-out accuracy and the planted answers found, beside the baselines."""
    test = [row for row in read_tiers(data / "tiers.test.jsonl") if isinstance(row, Tiers)]
    ours = json.loads((ranker / "evaluation.json").read_text())["overall"]["all"]
    baseline = tfidf([row for row in read_tiers(data / "tiers.train.jsonl") if isinstance(row, Tiers)])
    texts = [text for row in test for text in row.responses.values()]
    theirs = evaluate(test, TIERS, rank(baseline, texts))["overall"]["all"]["ranker"]

    rows = [json.loads(line) if line.strip() else {} for line in readable(data / "pool.jsonl")]
    responses = [str(row.get("response") or "") if isinstance(row, dict) else "" for row in rows]
    planted = np.array(
        [key["kind"] == "planted" for key in map(json.loads, readable(data / "pool_key.jsonl"))]
    )
    scored = Scored.of_run(scores)
    lengths = np.array([len(text) for text in responses], dtype=np.float64)
    usable = scored.eligible
    found = {
        "ranker": hits(scored.column().astype(np.float64), planted, usable),
        "TF-IDF + logistic regression": hits(rank(baseline, responses), planted, usable),
        "longest": hits(lengths, planted, usable),
        "shortest": hits(-lengths, planted, usable),
    }
    accuracies = {
        "ranker": ours["ranker"],
        "TF-IDF + logistic regression": theirs,
        "longest": ours["longest"],
        "shortest": ours["shortest"],
    }
    print(f"\nHeld-out names: {len(test)}, {ours['ranker']['n']} tier pairs.", end=" ")
    print(f"Pool: {len(rows)} rows, {planted.sum()} planted answers.\n")
    print(f"{'':<30}{'pairs in order':>24}" + "".join(f"{f'planted in top {cut}':>20}" for cut in CUTS))
    for name, counts in found.items():
        print(f"{name:<30}{share(accuracies[name]):>24}" + "".join(f"{count:>20}" for count in counts))
    print(f"\nkept rows: {kept}   scores of all rows: {scores}   ranker: {ranker}")


def readable(path: Path) -> list[str]:
    """Give the lines of a file; a line that is not JSON counts as an empty one."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [line if valid(line) else "" for line in lines]


def valid(line: str) -> bool:
    """Tell whether a line is JSON."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def hits(scores: NDArray[np.float64], planted: NDArray[np.bool_], usable: NDArray[np.bool_]) -> list[int]:
    """Count the planted answers among the best rows."""
    order = np.argsort(np.where(usable, -scores, np.inf), kind="stable")
    return [int(planted[order[:cut]].sum()) for cut in CUTS]


def tfidf(rows: list[Tiers]) -> Pipeline:
    """Fit character TF-IDF and logistic regression to tell the tiers apart, on the training split alone."""
    texts = [text for row in rows for text in row.responses.values()]
    labels = [-TIERS.index(tier) for row in rows for tier in row.responses]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(2, 4), sublinear_tf=True, min_df=2),
        LogisticRegression(C=10, max_iter=2000),
    )
    fitted: Pipeline = model.fit(texts, labels)
    return fitted


def rank(model: Pipeline, texts: list[str]) -> NDArray[np.float64]:
    """Give the expected tier of each text, higher is better."""
    expected: NDArray[np.float64] = model.predict_proba(texts) @ model.classes_
    return expected


def share(figure: dict[str, Any]) -> str:
    """Write an accuracy with its interval."""
    return f"{figure['accuracy']:.1%} [{figure['low']:.0%} {figure['high']:.0%}]"


if __name__ == "__main__":
    main()

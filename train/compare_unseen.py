"""What the seen-vs-unseen filter finds, and what it must not: novel rows, small changes, halves of one set.

    SCAR_DATA=... python train/compare_unseen.py novelty --out unseen [--heads linear,finetune]
    SCAR_DATA=... python train/compare_unseen.py verdicts --out unseen [--seeds 0-19]

`novelty` runs `scar train unseen` with its defaults (but for FLAGS) on $SCAR_DATA/seen_unseen, once for each head, and
opens the hidden labels only when the scores are written. Beside it: TF-IDF of character 2- to 4-grams with logistic
regression, out of the folds of the first head. `verdicts` halves seen.jsonl by seeds: as it is (there is nothing to
tell), and with 100 rows of one half replaced by rows of another source of $SCAR_DATA/pool.jsonl.gz. A frozen embedding
is a function of its row, so each text is embedded once for all seeds; all else is what the command does.
"""

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.evaluation import auc
from scar.pools import read_pool
from scar.records import Record

HALF, REPLACED, RESAMPLES = 1000, 100, 2000
SOURCES = ("codealpaca", "dolly")
SMALL = {"folds": 2, "layers": 4, "max_tokens": 128, "dropout": 0}
FLAGS = {
    "linear": [],
    "finetune": [word for name, value in SMALL.items() for word in (f"--{name}", str(value))],
}
"""Beside the defaults: on 2 CPU cores five folds of a whole encoder that learns take more than an hour."""
Floats = NDArray[np.float64]


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["novelty", "verdicts"])
    parser.add_argument(
        "--out", type=Path, default=Path("unseen"), help="folder of what is kept between runs"
    )
    parser.add_argument("--heads", default="linear,finetune")
    parser.add_argument("--seeds", default="0-19", help="first-last")
    arguments = parser.parse_args()
    if "SCAR_DATA" not in os.environ:
        sys.exit("SCAR_DATA is not set: name the folder that holds seen_unseen/")
    data = Path(os.environ["SCAR_DATA"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.what == "novelty":
        novelty(data / "seen_unseen", arguments.out, arguments.heads.split(","))
    else:
        first, last = (int(number) for number in arguments.seeds.split("-"))
        verdicts(data, arguments.out, range(first, last + 1))


def novelty(data: Path, out: Path, heads: Sequence[str]) -> None:
    """Train with each head, then compare the candidates' scores with the hidden labels."""
    from scar.cli import main as scar

    pool = data / "pool.jsonl.gz"
    for head in heads:
        started = time.perf_counter()
        flags = ["--seen", str(data / "seen.jsonl"), "--pool", str(pool), "--head", head, *FLAGS[head]]
        if not (out / head).exists():
            if code := scar(["train", "unseen", *flags, "--out", str(out / head)]):
                sys.exit(code)
            (out / f"{head}.seconds").write_text(f"{time.perf_counter() - started:.0f}")
    (ids,) = columns(out / heads[0] / "run", ["id"])
    baseline = tfidf(data / "seen.jsonl", pool, out / heads[0] / "run")
    found = {head: columns(out / head / "run", ["unseen"])[0] for head in heads} | {"TF-IDF": baseline}
    with open(data / "pool_labels.jsonl", encoding="utf-8") as lines:
        seen = {row["id"]: row["seen"] for row in map(json.loads, lines)}
    novel = np.asarray([seen[each] == 0 for each in ids])
    for head, scores in found.items():
        half = scores >= np.median(scores)
        share = half[novel].mean()
        text = f"{head}: AUC of novelty {auc(scores[novel], scores[~novel]):.4f}"
        text += f", {share:.1%} of the novel rows in the top half"
        if head != "TF-IDF":
            low, high = paired(scores, baseline, novel)
            seconds = (out / f"{head}.seconds").read_text()
            text += f"; minus TF-IDF [{low:+.4f} {high:+.4f}]; {seconds} s"
        print(text)


def columns(run: Path, names: Sequence[str]) -> list[Any]:
    """Read columns of the candidates' run."""
    import pyarrow.parquet as pq

    table = pq.read_table(run / "chunks")
    return [np.asarray(table[name].to_pylist()) for name in names]


def tfidf(seen: Path, pool: Path, run: Path) -> Floats:
    """Score the candidates by character n-grams, out of the folds of a run; those of the seen rows are dealt alike."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from scar.settings import UnseenSettings
    from scar.training.unseen.folds import fold_of, groups_of
    from scar.training.unseen.signal import sequences_of, signal_of

    have, candidates = (records(place) for place in (seen, pool))
    rows = [*have, *candidates]
    flags = np.arange(len(rows)) < len(have)
    settings = UnseenSettings()
    groups = groups_of(rows, seed=settings.seed, encoded=sequences_of(encoded(rows)[1]))
    fold = fold_of(groups, flags, folds=settings.folds, seed=settings.seed)
    assert fold[~flags].tolist() == columns(run, ["fold"])[0].tolist(), "the run's folds"
    texts = np.asarray([signal_of(row, "both") for row in rows], dtype=object)
    scores = np.empty(len(rows))
    for number in range(settings.folds):
        held_out = fold == number
        vectors = TfidfVectorizer(analyzer="char", ngram_range=(2, 4), sublinear_tf=True, min_df=2)
        train: csr_matrix = vectors.fit_transform(texts[~held_out])
        model = LogisticRegression(C=10, max_iter=1000, class_weight="balanced").fit(train, flags[~held_out])
        scores[held_out] = -model.decision_function(vectors.transform(texts[held_out]))
    return scores[~flags]


def paired(ours: Floats, theirs: Floats, novel: NDArray[np.bool_]) -> tuple[float, float]:
    """Give the 95 % interval of the difference of two AUCs, candidates redrawn."""
    random = np.random.default_rng(0)
    differences = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        drawn = random.integers(0, len(novel), len(novel))
        a, b, label = ours[drawn], theirs[drawn], novel[drawn]
        differences[number] = auc(a[label], a[~label]) - auc(b[label], b[~label])
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def records(place: Path) -> list[Record]:
    """Read the records of a file."""
    return [item for item in read_pool(place) if isinstance(item, Record)]


def verdicts(data: Path, out: Path, seeds: range) -> None:
    """Count the verdicts of halves of one set, and of halves of which a tenth was replaced."""
    have = records(data / "seen_unseen" / "seen.jsonl")
    others = {source: of_source(data / "pool.jsonl.gz", source) for source in SOURCES}
    texts = {"seen": have, **others}
    sides = {name: Side.of(rows, out / f"{name}.npy") for name, rows in texts.items()}
    told = {"nothing": [halved(sides["seen"], seed) for seed in seeds]}
    for source in SOURCES:
        told[source] = [halved(sides["seen"], seed, sides[source]) for seed in seeds]
    for name, answers in told.items():
        print(f"{name} replaced: told apart in {sum(answers)} of {len(answers)}")


def of_source(pool: Path, source: str) -> list[Record]:
    """Read the rows of a source that may be trained on."""
    with gzip.open(pool) as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Record.plain(row["instruction"], row["response"])
        for row in rows
        if row["source"] == source and not row.get("eval_only")
    ]


def encoded(rows: Sequence[Record]) -> tuple[Any, Any]:
    """Give the default encoder's backbone, and the pairs of token ids of rows, as the command makes them."""
    from scar.settings import UnseenSettings
    from scar.training import backbone as backbones
    from scar.training.fit import pair_encoder

    settings = UnseenSettings()
    backbone = backbones.load(settings.encoder)
    encoder = pair_encoder(backbone, settings, settings.inputs)
    return backbone, encoder.encode((row.turns, row.response) for row in rows)


@dataclass(frozen=True)
class Side:
    """Rows with what the encoder sees of them, and their embeddings (n, H)."""

    rows: list[Record]
    sequences: list[bytes]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, rows: list[Record], file: Path) -> "Side":
        """Embed rows as the command does with its defaults; kept in a file."""
        from scar.training.unseen.embed import embed, frozen
        from scar.training.unseen.signal import sequences_of

        backbone, pairs = encoded(rows)
        if not file.exists():
            np.save(file, embed(frozen(backbone, None), pairs, pad_id=backbone.pad_id))
        return cls(rows, sequences_of(pairs), np.load(file))

    def take(self, numbers: NDArray[np.int64]) -> "Side":
        """Give some of the rows."""
        return Side(
            [self.rows[n] for n in numbers], [self.sequences[n] for n in numbers], self.vectors[numbers]
        )


def halved(have: Side, seed: int, more: Side | None = None) -> bool:
    """Halve a set by a seed, replace some rows of the second half by `more`, and tell whether the halves differ."""
    from scar.training.unseen import linear
    from scar.training.unseen.folds import fold_of, groups_of
    from scar.training.unseen.length import length_scores
    from scar.training.unseen.signal import signal_of
    from scar.training.unseen.verdict import OutOfFold, verdict_of

    random = np.random.default_rng(seed)
    both = have.take(random.permutation(len(have.rows))[: 2 * HALF])
    if more:
        drawn = more.take(random.permutation(len(more.rows))[:REPLACED])
        both.rows[-REPLACED:], both.sequences[-REPLACED:] = drawn.rows, drawn.sequences
        both.vectors[-REPLACED:] = drawn.vectors
    seen = np.arange(len(both.rows)) < HALF
    groups = groups_of(both.rows, seed=seed, encoded=both.sequences)
    fold = fold_of(groups, seen, seed=seed)
    texts = [signal_of(row, "both") for row in both.rows]
    scored = OutOfFold(linear.out_of_fold(both.vectors, seen, fold), seen, fold, groups)
    return verdict_of(scored, length_scores(texts, seen, fold), seed=seed).told_apart


if __name__ == "__main__":
    main()

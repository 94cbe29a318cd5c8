"""Every kind of ranker on every architecture: it trains, passes its gate, scores without torch, each row for itself."""

import json
import subprocess
import sys

import numpy as np
import pytest

from scar.bundle import GRAPHS, RANKER_KINDS, Bundle
from scar.cli import main
from scar.serving.scorer import Scorer
from scar.settings import Scoring
from scar.training.engine import torch_model
from scar.training.save import load_ranker
from tests.make import labelled_rows, pool_rows, tier_rows, tiny_encoder, write_jsonl

ARCHITECTURES = [
    "bert",
    "roberta",
    "deberta",
    "deberta-v2",
    "deberta-v3",
    "modernbert",
    "electra",
    "xlm-roberta",
]
ROWS = [
    *pool_rows(23, seed=7),
    {"instruction": "你好，世界？", "response": "שלום " * 90},
    {"instruction": "what is it " * 60, "response": "👩‍👩‍👧‍👦 clearly " * 60},
    {"instruction": "a", "response": "b"},
]


PAIRS = [
    (architecture, kind)
    for architecture in ARCHITECTURES
    for kind in RANKER_KINDS
    # All graphs of one sequence are alike, and all architectures train a style ranker: some show the rest.
    if kind == "style"
    or architecture in ("bert", "deberta-v3")
    or (kind == "quality" and architecture in ("roberta", "modernbert"))
]


@pytest.fixture(scope="module")
def encoder(request, tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder") / request.param, request.param)


def trained(kind, encoder, folder):
    """Train by the command that a user types, export, and give the bundle."""
    flags = ["--encoder", str(encoder), "--max_tokens", "32"]
    if kind == "unseen":
        seen, pool = (
            write_jsonl(folder / f"{name}.jsonl", labelled_rows(40, seed=name)) for name in ("seen", "pool")
        )
        # Its rows say `clearly` or `whatever` by their number: half of each side is taken away.
        for path, odd in ((seen, 0), (pool, 1)):
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(lines[odd::2]))
        files = ["--seen", str(seen), "--pool", str(pool), "--folds", "2"]
        assert main(["train", "unseen", *files, "--out", str(folder / "out"), *flags]) == 0
        return folder / "out" / "bundle"
    rows = tier_rows(24) if kind == "style" else labelled_rows(160)
    data = write_jsonl(folder / "rows.jsonl", rows)
    flags += [
        "--lr",
        "3e-3",
        "--batch_size",
        "8",
        "--epochs",
        "2" if kind == "style" else "5",
        "--data",
        str(data),
        "--out",
        str(folder / "b"),
    ]
    # A classifier that has learned next to nothing gives scores so near each other that no gate can tell rounding.
    flags += [] if kind == "style" else ["--pooling", "mean"]
    assert main(["train", kind, *flags]) == 0
    assert main(["export", str(folder / "b")]) == 0
    return folder / "b"


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "kind"), PAIRS, indirect=["encoder"])
def test_it_trains_passes_its_gate_and_scores_each_row_for_itself_without_torch(kind, encoder, tmp_path):
    path = trained(kind, encoder, tmp_path)
    bundle = Bundle.open(path)
    assert bundle.kind == kind
    assert next(record["passed"] for record in bundle.gates() if record["graph"] == GRAPHS[kind].reference)
    scorer = Scorer.load(path)
    scores = scorer.score(ROWS)
    assert np.isfinite(scores).all() and scores.std() > 0
    # Alone, and in batches of other sizes: the same.
    alone = np.concatenate([scorer.score([row]) for row in ROWS])
    np.testing.assert_allclose(alone, scores, atol=1e-5)
    crowded = Scorer.load(path, Scoring(batch_tokens=100_000)).score(ROWS)
    np.testing.assert_allclose(crowded, scores, atol=1e-5)
    # The model in torch gives them too.
    records = [((scar_turn(row["instruction"]),), row["response"]) for row in ROWS]
    want = torch_model(load_ranker(bundle), scorer.encoder.settings.pad_id, 512).score(
        scorer.encoder.encode(records)
    )
    np.testing.assert_allclose(scores, want, atol=max(1e-5, 1e-4 * float(want.std())))
    assert without_torch(path) == pytest.approx(scores[:3].tolist(), abs=1e-5)


def scar_turn(text):
    from scar.records import Turn

    return Turn("user", text)


def without_torch(path):
    """Score the first rows in an interpreter that cannot import a model library."""
    program = (
        "import sys, json\n"
        "for name in ('torch', 'transformers', 'lightning', 'sklearn', 'scipy', 'sentencepiece'):\n"
        "    sys.modules[name] = None\n"
        "from scar import Scorer\n"
        f"rows = json.loads({json.dumps(json.dumps(ROWS[:3]))})\n"
        f"print(json.dumps(Scorer.load({str(path)!r}).score(rows).tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])

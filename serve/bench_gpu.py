"""Rows/s of the torch engine beside padded transformers, from a Parquet pool to a Parquet sidecar, in turn.

    python serve/bench_gpu.py                                       # needs a GPU: bf16 beside padded fp16
    python serve/bench_gpu.py --device cpu --rows 20 --tiny --rounds 1    # shows on a CPU, in fp32, that it works

Rankers are cross-encoders with random weights, the rows are random words of the demo tokenizer: speed depends on
neither. Ours reads, tokenises, packs and writes as `scar score` does, without the gate that random weights cannot
pass; transformers gets batches in arrival order, padded to their longest, at the best of --batch-sizes. The largest
difference of their scores is printed beside: in fp32 it is rounding. Share of peak is the FLOP of the real tokens
a second over those of a large matrix product in the same precision.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel, AutoTokenizer

from scar.bundle import Bundle
from scar.pools import RowReader, cut, find
from scar.serving.choice import Choice
from scar.serving.crew import Crew
from scar.serving.pipeline import Threads, read_chunks
from scar.serving.scorer import Scorer
from scar.serving.sidecar import table, with_scores
from scar.settings import QualitySettings, Reading, Scoring
from scar.training.demo_encoder import NAME
from scar.training.quality.train import train_quality
from scar.training.save import load_ranker
from scar.training.sources import find as find_encoder

DEBERTA = {
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
ENCODERS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "MiniLM": ("bert", 6, 384, {}),
    "110M": ("bert", 12, 768, {}),
    "DeBERTa-base": ("deberta-v2", 12, 768, DEBERTA),
}
"""Name -> model type, layers, width, and what else the config says."""
LENGTHS = {"128": (128, 128), "256": (256, 256), "512": (512, 512), "mixed": (16, 512)}
QUESTION, SPECIAL = 8, 3
"""Words of every instruction, and special tokens of a pair."""


@dataclass(frozen=True)
class Setting:
    """What is timed, and where."""

    bundle: Path
    pool: Path
    device: str
    batch_sizes: list[int]

    @property
    def precision(self) -> str:
        """Ours: on a CPU the torch engine has fp32 alone."""
        return "fp32" if self.device == "cpu" else "bf16"


def main() -> None:
    """Time every encoder at every length and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--tiny", action="store_true", help="two layers, 64 wide: only shows that it works")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    peak = flops(torch.device(given.device), 512 if given.device == "cpu" else 8192)
    print(f"{device_name(given.device)}: {peak / 1e12:.1f} TFLOP/s in a matrix product", flush=True)
    told = []
    with tempfile.TemporaryDirectory() as temp:
        pools = {name: write_pool(Path(temp) / f"{name}.parquet", given.rows, name) for name in LENGTHS}
        for encoder in ENCODERS:
            bundle = random_bundle(Path(temp) / encoder, encoder, tiny=given.tiny)
            for length, pool in pools.items():
                setting = Setting(bundle, pool, given.device, given.batch_sizes)
                told.append({"encoder": encoder, "length": length, **compare(setting, given.rounds, peak)})
                print(line(told[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(told, indent=1))


def line(told: dict[str, Any]) -> str:
    """Give a row of the table."""
    return (
        f"{told['encoder']:<14}{told['length']:<7}{told['ours']:9.1f} rows/s  padded {told['padded']:9.1f} "
        f"(batches of {told['batch_size']})  ratio {told['ratio']:5.2f} "
        f"({told['lowest']:.2f} to {told['highest']:.2f})  share of peak {told['share_of_peak']:.2f}  "
        f"scores differ by {told['difference']:.1e}"
    )


def random_bundle(folder: Path, name: str, *, tiny: bool) -> Path:
    """Make a quality bundle with a random encoder: the demo encoder's tokenizer, one training step."""
    kind, layers, width, more = ENCODERS[name]
    layers, width = (2, 64) if tiny else (layers, width)
    tokenizer = AutoTokenizer.from_pretrained(find_encoder(NAME).path)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=width // 32 if width < 768 else 12,
        intermediate_size=4 * width,
        **more,
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder / "encoder")  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder / "encoder")
    rows = [
        {"instruction": f"say {n // 2}", "response": "yes no"[n % 2 :], "label": n % 2} for n in range(200)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = QualitySettings(encoder=str(folder / "encoder"), trainer={"max_steps": 1})
    train_quality(settings, folder / "rows.jsonl", folder / "bundle")
    return folder / "bundle"


def write_pool(path: Path, rows: int, length: str) -> Path:
    """Write rows of random words, one token each; of `mixed` every length is as frequent as any other."""
    tokenizer = AutoTokenizer.from_pretrained(find_encoder(NAME).path)
    words = np.array(sorted(word for word in tokenizer.vocab if word.isascii() and word.isalpha()))
    rng = np.random.default_rng(0)
    least, most = LENGTHS[length]
    lengths = rng.integers(least, most, rows, endpoint=True) - QUESTION - SPECIAL
    texts = {
        "instruction": [" ".join(rng.choice(words, QUESTION)) for _ in range(rows)],
        "response": [" ".join(rng.choice(words, n)) for n in lengths],
    }
    pq.write_table(pa.table(texts), path)
    return path


def compare(setting: Setting, rounds: int, peak: float) -> dict[str, Any]:
    """Time both in turn, after a round that is not counted; rows/s, and the share of peak of ours."""
    size = best_size(setting)
    padded, ours = padded_transformers(setting, size), torch_engine(setting)
    rows = pq.read_metadata(setting.pool).num_rows
    sidecar, scores = ours(), padded()
    pairs = [(rows / timed(ours), rows / timed(padded)) for _ in range(rounds)]
    ratios = [mine / theirs for mine, theirs in pairs]
    rate = statistics.median(mine for mine, _ in pairs)
    return {
        "ours": rate,
        "padded": statistics.median(theirs for _, theirs in pairs),
        "batch_size": size,
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "share_of_peak": rate / rows * flop_of(setting, sidecar["quality_tokens"].to_numpy()) / peak,
        "difference": float(np.abs(sidecar["quality"].to_numpy() - scores).max()),
    }


def best_size(setting: Setting) -> int:
    """Give the batch size at which padded transformers are fastest; the first round of each is not counted."""
    seconds = {}
    for size in setting.batch_sizes:
        run = padded_transformers(setting, size)
        run()
        seconds[size] = timed(run)
    return min(seconds, key=lambda size: seconds[size])


def timed(run: Callable[[], object]) -> float:
    """Give the seconds of a run; both end with results on the host."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def torch_engine(setting: Setting) -> Callable[[], pa.Table]:
    """Load the engine; gives what scores the pool into a sidecar, and returns that."""
    bundle = Bundle.open(setting.bundle)
    choice = Choice("", "torch", setting.precision, "what is timed")
    scorer = Scorer.chosen(bundle, choice, Scoring(device=setting.device))

    def run() -> pa.Table:
        files = find(setting.pool)
        _, chunks = cut(files, scorer.scoring.chunk_rows)
        works = read_chunks(files, chunks, RowReader(files, Reading(), ()))
        sheets = []
        with tempfile.TemporaryDirectory() as out:
            for scored in Threads(Crew([scorer]), lambda *_: None).run(works):
                items, places = with_scores(scored.items, scored.scores)
                sheets.append(table(items, places, scored.scores, ()))
                pq.write_table(sheets[-1], Path(out) / f"{scored.chunk.index}.parquet")
        return pa.concat_tables(sheets)

    return run


def padded_transformers(setting: Setting, size: int) -> Callable[[], NDArray[np.float64]]:
    """Load the same ranker the plain way; gives what scores the pool in batches of arrival order."""
    ranker: Any = load_ranker(Bundle.open(setting.bundle))
    if ranker.encoder._supports_sdpa:
        ranker.encoder.set_attn_implementation("sdpa")
    if setting.device != "cpu":
        ranker.encoder.half()
    ranker.to(setting.device)
    tokenizer = AutoTokenizer.from_pretrained(setting.bundle)

    def run() -> NDArray[np.float64]:
        pool, scores = pq.read_table(setting.pool), []
        for start in range(0, len(pool), size):
            texts = pool.slice(start, size).to_pydict()
            fed = tokenizer(
                texts["instruction"],
                texts["response"],
                padding=True,
                truncation=True,
                max_length=512,
                return_tensors="pt",
            ).to(setting.device)
            with torch.inference_mode():
                scores += ranker(**fed).score.tolist()
        with tempfile.TemporaryDirectory() as out:
            pq.write_table(pa.table({"quality": scores}), Path(out) / "scores.parquet")
        return np.array(scores)

    return run


def flop_of(setting: Setting, tokens: NDArray[np.int64]) -> float:
    """Give the floating point operations that rows of given tokens take in the encoder."""
    encoder: Any = load_ranker(Bundle.open(setting.bundle)).encoder
    embeddings = sum(weight.numel() for weight in encoder.embeddings.parameters())
    weights = sum(weight.numel() for weight in encoder.parameters()) - embeddings
    attention = 4 * encoder.config.hidden_size * encoder.config.num_hidden_layers
    return float((2.0 * weights * tokens + attention * tokens.astype(float) ** 2).sum())


def flops(device: torch.device, size: int) -> float:
    """Measure the operations a second of a product of square matrices: bf16 on a GPU, fp32 on a CPU."""
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    for _ in range(3):
        product = matrix @ matrix
    product[0, 0].item()
    started = time.perf_counter()
    for _ in range(20):
        product = matrix @ matrix
    product[0, 0].item()  # waits for the device
    return 20 * 2 * size**3 / (time.perf_counter() - started)


def device_name(device: str) -> str:
    """Name the machine that the figures are of."""
    if device == "cpu":
        return f"cpu, {torch.get_num_threads()} threads"
    return str(torch.cuda.get_device_name(device))


if __name__ == "__main__":
    main()

"""Tokens/s of an encoder's graphs beside torch: as transformers has it, as exported, fused; each shape in turn.

    python serve/bench_graphs.py --encoder deberta

Weights are random, and the vocabulary small: looking a token up costs next to nothing, and no speed depends on a
weight. Sizes are those of DeBERTa-v3-base and of MiniLM-L6. `--json FILE` keeps the figures, `--profile` prints the
operators that take longest at 2 x 512.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from scar.serving.engines import Feeds, Runtime, processors
from scar.serving.engines.machine import has_bf16
from scar.training.cross import CrossEncoder, HeadShape
from scar.training.graphs import fuse, write_graphs

Run = Callable[[list[Feeds]], object]
BATCHES = 4
"""Batches of a shape that a contender is given together: an engine runs as many at a time as there are threads."""
SHAPES = [(16, 64), (8, 128), (4, 256), (2, 512)]
WORDS = 1000
SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "deberta": (
        "deberta-v2",
        {
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "minilm": (
        "bert",
        {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    ),
}


def main() -> None:
    """Write the graphs, time them in turn, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", choices=list(SIZES), default="deberta")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temp:
        contenders = prepare(arguments.encoder, Path(temp), arguments.threads)
        figures = {f"{n}x{length}": timed(contenders, n, length, arguments.rounds) for n, length in SHAPES}
        if arguments.profile:
            profile(Path(temp) / "fused.onnx", arguments.threads)
    report(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def prepare(name: str, folder: Path, threads: int) -> dict[str, Run]:
    """Make the encoder and its graphs, and open each with each engine."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    kind, sizes = SIZES[name]
    config = AutoConfig.for_model(
        kind, vocab_size=WORDS, max_position_embeddings=512, pad_token_id=0, **sizes
    )
    encoder = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    ranker = CrossEncoder(encoder, config.hidden_size, HeadShape("mean"), "quality").eval()
    with mock.patch("scar.training.graphs.write.with_fast_attention", lambda model: model):
        write_graphs(ranker, folder, token_types=False)
    (folder / "model.onnx").rename(folder / "plain.onnx")
    write_graphs(ranker, folder, token_types=False)
    print("fused:", fuse(folder / "model.onnx", folder / "fused.onnx"))
    contenders: dict[str, Run] = {"torch fp32": in_torch(ranker)}
    for graph in ("plain", "model", "fused"):
        contenders[f"onnxruntime fp32, {graph}"] = in_engine(
            folder / f"{graph}.onnx", "onnxruntime", "fp32", threads
        )
    precisions = ("fp32", "bf16") if has_bf16() else ("fp32",)
    for graph, precision in product(("plain", "model"), precisions):
        contenders[f"openvino {precision}, {graph}"] = in_engine(
            folder / f"{graph}.onnx", "openvino", precision, threads
        )
    return contenders


def in_torch(ranker: CrossEncoder) -> Run:
    """Run the model itself."""

    def run(batches: list[Feeds]) -> None:
        with torch.inference_mode():
            for feeds in batches:
                ranker(**{name: torch.from_numpy(array) for name, array in feeds.items()})

    return run


def in_engine(path: Path, engine: str, precision: str, threads: int) -> Run:
    """Run a graph as scoring does."""
    opened = Runtime(engine, precision, "cpu", threads).open(path)
    return lambda batches: list(opened.stream(["score"], batches))


def session(path: Path, threads: int, *, profiled: bool = False) -> Any:
    """Open a graph with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = threads, profiled
    options.profile_file_prefix = str(path.parent / "profile")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def timed(contenders: dict[str, Run], n: int, length: int, rounds: int) -> dict[str, list[float]]:
    """Give each contender's tokens/s, a number a round; the rounds of all are interleaved."""
    ids = np.random.default_rng(0).integers(3, WORDS, (n, length))
    batches: list[Feeds] = [{"input_ids": ids, "attention_mask": np.ones_like(ids)}] * BATCHES
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run(batches)
    for _ in range(rounds):
        for name, run in contenders.items():
            started = time.perf_counter()
            run(batches)
            rates[name].append(BATCHES * n * length / (time.perf_counter() - started))
    return rates


def report(figures: dict[str, dict[str, list[float]]]) -> None:
    """Print median, spread and the ratio to torch of the same rounds."""
    for shape, rates in figures.items():
        print(f"{shape}, tokens/s")
        base = rates["torch fp32"]
        for name, values in rates.items():
            ratio = statistics.median(v / b for v, b in zip(values, base, strict=True))
            spread = f"({min(values):,.0f} to {max(values):,.0f})"
            print(f"  {name:<26}{statistics.median(values):>9,.0f}  {spread:<20}{ratio:6.2f} x torch")


def profile(path: Path, threads: int, shape: Sequence[int] = SHAPES[-1]) -> None:
    """Print the operators of a graph that take longest in ONNX Runtime."""
    opened = session(path, threads, profiled=True)
    ids = np.ones(shape, dtype=np.int64)
    for _ in range(3):
        opened.run(None, {"input_ids": ids, "attention_mask": ids})
    spent: dict[str, float] = {}
    for event in json.loads(Path(opened.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            operator = event["args"]["op_name"]
            spent[operator] = spent.get(operator, 0.0) + event["dur"] / 3000
    for operator, milliseconds in sorted(spent.items(), key=lambda item: -item[1])[:10]:
        print(f"  {operator:<26}{milliseconds:9.1f} ms")


if __name__ == "__main__":
    main()

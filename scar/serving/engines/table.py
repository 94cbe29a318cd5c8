"""How much an engine is given at a time, never timed in a run; `scar bench --tune` finds what suits a machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Most tokens of a batch, padding counted, and rows of a chunk, which are sorted by length together."""

    batch_tokens: int
    chunk_rows: int


_TABLE = {
    # A thread's batch should stay in its part of the cache: best in trials with MiniLM on a processor with AVX-512.
    ("onnxruntime", "cpu"): Budget(512, 2048),
    ("openvino", "cpu"): Budget(1024, 2048),
    ("torch", "cpu"): Budget(1024, 2048),
    # Guesses, no GPU was at hand: a card wants enough to do at a time; unpadded, its batches need not be of one length.
    ("onnxruntime", "cuda"): Budget(16_384, 16_384),
    ("onnxruntime", "tensorrt"): Budget(16_384, 16_384),
    ("torch", "cuda"): Budget(65_536, 16_384),
}


def budget(engine: str, device: str) -> Budget:
    """Give the budget of an engine on a device such as `cuda:1`."""
    return _TABLE[engine, device.partition(":")[0]]

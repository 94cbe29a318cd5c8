"""What enters a graph's products on real tokens. K is the width of what enters, S the tokens kept as a sample."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from scar.serving.engines import Feeds, processors

EVERY = 32
"""One in so many tokens is kept as a sample."""


@dataclass(frozen=True)
class Observed:
    """The range of each of K channels, and some tokens' values (S, K)."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    sample: NDArray[np.float32]


def observe(source: Path, names: list[str], batches: Iterable[Feeds]) -> dict[str, Observed]:
    """Run batches and look at the named inner values (N, L, K); padding is left out, one batch is held at a time."""
    seen: dict[str, Observed] = {}
    for values in _run(source, names, batches):
        for name, states in values.items():
            seen[name] = _joined(seen.get(name), states)
    return seen


def _run(
    source: Path, names: list[str], batches: Iterable[Feeds]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    import onnxruntime

    model = onnx.load(str(source))
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = processors()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for feeds in batches:
        real = feeds["attention_mask"].astype(bool)
        # An encoder may fill sequences up to whole blocks inside.
        yield {
            name: states[:, : real.shape[1]][real]
            for name, states in zip(names, session.run(names, dict(feeds)), strict=True)
        }


def _joined(seen: Observed | None, states: NDArray[np.float32]) -> Observed:
    fresh = Observed(states.min(axis=0), states.max(axis=0), states[::EVERY].copy())
    if seen is None:
        return fresh
    return Observed(
        np.minimum(seen.low, fresh.low),
        np.maximum(seen.high, fresh.high),
        np.concatenate([seen.sample, fresh.sample]),
    )

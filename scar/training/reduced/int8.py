"""Static int8: the scales of activations are constants, found on real rows, so a score does not depend on batch mates.

Written as QuantizeLinear and DequantizeLinear, which ONNX Runtime and OpenVINO both turn into integer products. A few
channels of a transformer's states are ten times wider than the rest, and one scale for all would leave the others a
few steps: each channel is divided by a power of its range, and the weights multiplied by it (SmoothQuant, arXiv
2211.10438).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, helper, numpy_helper

from scar.serving.engines import Feeds
from scar.training.reduced.observe import Observed, observe
from scar.training.reduced.products import drop_unused, open_graph, products, put_before, save_graph

POWERS = (0.0, 0.6, 0.7, 0.8, 0.9)
"""Powers of a channel's range that are tried; 0 leaves it as it is."""
WORST = 0.05
"""A product whose values are further off than this, in parts of their size, stays fp32."""
TINY = 1e-6


@dataclass(frozen=True)
class Scales:
    """How one input of width K is brought to 8 bits: divided by `smooth` (K,), then a step and a zero point."""

    smooth: NDArray[np.float32]
    step: np.float32
    zero: np.uint8

    @classmethod
    def of(cls, seen: Observed, rows: NDArray[np.float32], power: float) -> "Scales":
        """Find the scales for a power; `rows` (K,) is the largest weight that meets each channel."""
        wide = np.maximum(np.abs(seen.low), np.abs(seen.high)).clip(TINY)
        smooth = wide**power / rows.clip(TINY) ** (1 - power) if power else np.ones_like(wide)
        smooth = (smooth / np.exp(np.log(smooth).mean())).astype(np.float32)
        low, high = min(0.0, float((seen.low / smooth).min())), max(0.0, float((seen.high / smooth).max()))
        step = np.float32(max(high - low, TINY) / 255)
        return cls(smooth, step, np.uint8(round(-low / float(step))))

    def rounded(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give states (S, K), smoothed, as 8 bits would hold them."""
        whole = np.round(states / self.smooth / self.step) + np.float32(self.zero)
        return (whole.clip(0, 255) - np.float32(self.zero)) * self.step


def to_int8(source: Path, target: Path, batches: Iterable[Feeds], *, narrow: bool) -> dict[str, int]:
    """Write a graph in static int8, its scales found on `batches`; gives how many products are int8 and fp32.

    `narrow` keeps weights within 7 bits: a processor without VNNI adds pairs of 8-bit products in 16 bits.
    """
    model = open_graph(source)
    inputs: dict[str, list[NodeProto]] = {}
    for node in products(model.graph):
        inputs.setdefault(node.input[0], []).append(node)
    seen = observe(source, list(inputs), batches)
    known = {weight.name: weight for weight in model.graph.initializer}
    before: dict[str, list[NodeProto]] = {}
    for name, nodes in inputs.items():
        matrices = [numpy_helper.to_array(known[node.input[1]]) for node in nodes]
        scales = best_scales(seen[name], matrices, narrow)
        if scales is not None:
            _write(model.graph, nodes, matrices, scales, narrow, before)
    put_before(model.graph, before)
    drop_unused(model.graph)
    save_graph(model, target)
    return {"int8": len(before), "fp32": sum(map(len, inputs.values())) - len(before)}


def best_scales(seen: Observed, matrices: list[NDArray[np.float32]], narrow: bool) -> Scales | None:
    """Give the scales under which the products of the sample change least; None where they change too much."""
    weights = np.concatenate(matrices, axis=1)
    exact = seen.sample @ weights
    rows = np.abs(weights).max(axis=1)
    tried = [Scales.of(seen, rows, power) for power in POWERS]
    off = [_off(scales, seen.sample, weights, narrow, exact) for scales in tried]
    least = int(np.argmin(off))
    return tried[least] if off[least] <= WORST else None


def _off(
    scales: Scales,
    sample: NDArray[np.float32],
    weights: NDArray[np.float32],
    narrow: bool,
    exact: NDArray[np.float32],
) -> float:
    whole, steps = whole_weights(weights * scales.smooth[:, None], narrow)
    differences = scales.rounded(sample) @ (whole * steps) - exact
    return float(np.linalg.norm(differences) / max(float(np.linalg.norm(exact)), TINY))


def whole_weights(weights: NDArray[np.float32], narrow: bool) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Give weights (K, M) as integers, and the step of each column (M,)."""
    most = 63 if narrow else 127
    steps = (np.abs(weights).max(axis=0) / most).clip(TINY / most).astype(np.float32)
    return np.round(weights / steps).clip(-most, most).astype(np.int8), steps


def _write(
    graph: GraphProto,
    nodes: list[NodeProto],
    matrices: list[NDArray[np.float32]],
    scales: Scales,
    narrow: bool,
    before: dict[str, list[NodeProto]],
) -> None:
    """Bring an input to 8 bits once, and each matrix that it meets."""
    name = nodes[0].input[0]
    shared = [f"{name}.step", f"{name}.zero"]
    constants: dict[str, NDArray[Any]] = {
        f"{name}.smooth": 1 / scales.smooth,
        shared[0]: np.array(scales.step),
        shared[1]: np.array(scales.zero),
    }
    made = [
        helper.make_node("Mul", [name, f"{name}.smooth"], [f"{name}.even"], f"{name}.even"),
        helper.make_node("QuantizeLinear", [f"{name}.even", *shared], [f"{name}.int8"], f"{name}.int8"),
        helper.make_node("DequantizeLinear", [f"{name}.int8", *shared], [f"{name}.back"], f"{name}.back"),
    ]
    for node, matrix in zip(nodes, matrices, strict=True):
        whole, steps = whole_weights(matrix * scales.smooth[:, None], narrow)
        own = [f"{node.name}.weight", f"{node.name}.steps", f"{node.name}.zeros"]
        constants |= dict(zip(own, (whole, steps, np.zeros(len(steps), np.int8)), strict=True))
        back = f"{node.name}.weight_back"
        before[node.name] = [*made, helper.make_node("DequantizeLinear", own, [back], back, axis=1)]
        made = []
        node.input[:] = [f"{name}.back", back]
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())

"""The variants of a reference graph: each made, run through its gate, and described. Keeps nothing."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scar.bundle import VARIANTS, Graphs
from scar.encoding import Pairs
from scar.errors import GateError
from scar.files import sha256
from scar.serving.engines import Feeds, Runtime, processor
from scar.serving.gates import Reference, gate
from scar.serving.models import load_model
from scar.tokens import length_batches
from scar.training.graphs import FUSED, fuse, unfused
from scar.training.reduced import to_dynamic, to_fp16, to_int8, to_w8

log = logging.getLogger("scar")
BATCH_TOKENS = 2048
CALIBRATION_EVERY, CALIBRATION_PAIRS = 8, 256
NARROW_UNLESS = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""Features under which products of 8 bits are added without overflow."""


def split(pairs: Pairs, calibrate: bool) -> tuple[Pairs, Pairs]:
    """Part the rows that judge from those that set scales, one in eight: on its own rows a scale looks too good."""
    rows = np.arange(len(pairs))
    chosen = (rows % CALIBRATION_EVERY == CALIBRATION_EVERY - 1) & calibrate
    return pairs.take(rows[~chosen]), pairs.take(rows[chosen][:CALIBRATION_PAIRS])


@dataclass(frozen=True)
class Variants:
    """Makes variants of the reference graph in a folder, and compares each with the reference's scores."""

    kind: Graphs
    folder: Path
    reference: Reference
    pad_id: int
    calibration: Pairs
    encoder: Any
    """The encoder's configuration: of which architecture it is, and of how many layers."""

    def make(self, name: str) -> dict[str, Any]:
        """Make and gate the variant of a name of VARIANTS; gives its record, `passed` false where it failed."""
        graph = self.kind.variant(name)
        try:
            told = self._write(name, self.folder / self.kind.reference, self.folder / graph)
        except (
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            GateError,
        ) as error:
            # The tools meet graphs that they were not made for; the reference graph is none the worse for it.
            log.warning("%s cannot be made: %s", graph, error)
            return {
                "graph": graph,
                "passed": False,
                "reason": f"cannot be made: {type(error).__name__}: {error}",
            }
        if name == "fp16":
            return self._unverified(graph)
        record = gated(graph, self.kind, self.folder, self.reference, self.pad_id) | told
        if name == "fused":
            record |= self._unfused(told["fused"])
        return record

    def _write(self, name: str, source: Path, target: Path) -> dict[str, Any]:
        if name == "fused":
            return {"fused": fuse(source, target)}
        if name == "w8":
            return {"fused": to_w8(source, target)}
        if name == "int8":
            return {"products": to_int8(source, target, self._batches(), narrow=narrow())}
        if name == "dynamic":
            to_dynamic(source, target, narrow=narrow())
            return {"batch_dependent": True}
        to_fp16(source, target)
        return {}

    def _unfused(self, counts: dict[str, int]) -> dict[str, Any]:
        """Refuse what the optimiser left as it was, without a word; name what an architecture that we know lacks."""
        kind, layers = self.encoder.model_type, self.encoder.num_hidden_layers
        lacking = unfused(kind, layers, counts)
        if getattr(self.encoder, "hidden_act", "gelu") != "gelu":
            lacking = [name for name in lacking if name != "BiasGelu"]
        if not lacking:
            return {}
        told = f"{', '.join(lacking)} not fused in each of {layers} layers of {kind}"
        return {"passed": False, "reason": told} | ({"unfused": lacking} if kind in FUSED else {})

    def _batches(self) -> Iterator[Feeds]:
        if not len(self.calibration):
            raise GateError(f"int8 needs at least {CALIBRATION_EVERY} rows to calibrate by: give --rows POOL")
        tokens = self.calibration.tokens
        return (tokens.feeds(texts, self.pad_id) for texts in length_batches(tokens.lengths, BATCH_TOKENS))

    def _unverified(self, graph: str) -> dict[str, Any]:
        """Describe a graph for a GPU: on a processor its products would be run in fp32, which judges nothing."""
        return {
            "graph": graph,
            "sha256": sha256(self.folder / graph),
            "precision": "fp16",
            "passed": False,
            "unverified": True,
            "reason": "made for a GPU, and not run on one here",
        }


def narrow() -> bool:
    """Tell whether weights must stay within 7 bits on this processor."""
    machine = processor()
    return machine["machine"] in ("x86_64", "AMD64") and not NARROW_UNLESS & set(machine["features"])


def gated(graph: str, kind: Graphs, folder: Path, reference: Reference, pad_id: int) -> dict[str, Any]:
    """Run a graph of a folder, with what stands beside it, through its gate."""
    runtime = Runtime(precision=VARIANTS[kind.variant_of(graph)])
    candidate = load_model(folder, kind, graph, pad_id=pad_id, batch_tokens=BATCH_TOKENS, runtime=runtime)
    return gate(graph, sha256(folder / graph), reference, candidate)

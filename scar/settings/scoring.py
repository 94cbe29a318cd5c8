"""How a pool is scored."""

import os
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scar.errors import InputError

HERE = ("threads", "workers", "stall")
"""Settings of one machine and one process: they change no score, and stand in no plan."""
OWN = "ranker"
"""Value of `embeddings` by which the first ranker embeds; a bundle of that name is `./ranker`."""


@dataclass(frozen=True)
class Scoring:
    """How a pool is scored. What stands here enters the run's fingerprint, but for how it is run and the gates."""

    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """Runtime that runs the graphs; auto takes the fastest that passed its gate on this kind of machine."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """Number format; auto takes a reduced one only where its gate passed on this kind of machine."""
    graph: Literal["auto", "reference", "fused", "int8", "w8", "dynamic", "fp16"] = "auto"
    """Which graph to run; auto takes one that passed its gate, and dynamic only by name."""
    device: str = "cpu"
    """Where to run: cpu, cuda, cuda:1 or tensorrt. Never another than the one asked for."""
    aggregate: Literal["mean", "min", "last"] = "mean"
    """How the scores of --turns each become one: never a sum, which rewards length."""
    batch_tokens: int = 0
    """Most tokens of a batch, padding counted; 0 takes the engine's own. Small batches stay in a CPU's cache."""
    chunk_rows: int = 0
    """Rows of a chunk, sorted by length together, committed together; 0 takes the engine's own."""
    carry: tuple[str, ...] = ()
    """Columns of the pool to write beside the scores."""
    embeddings: str = ""
    """Embed each record too, by an encoder's bundle (`scar export --encoder`), or, given as `ranker`, by the first
    ranker's own graph in the same pass; empty for none. Its files enter the fingerprint, not its path."""
    gates: str = ""
    """File of records that `scar gate --gates FILE` wrote, read beside the bundle's. Not in the fingerprint."""
    threads: int = 0
    """Threads of the engine; 0 takes the processors this process may use. Not in the fingerprint."""
    workers: int = 0
    """Processes that score, each pinned to its share of the processors; one that crashes is started again, and a record
    that crashes it set aside. 0 scores in this process; on a cluster 0 scores in the actors, 1 in
    a process of each. Not in the fingerprint."""
    stall: int = 600
    """Seconds without a sign after which a worker is taken to hang, and its chunk tried again; without --workers
    nothing is watched. Not in the fingerprint."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, least in (
            ("batch_tokens", 0),
            ("chunk_rows", 0),
            ("threads", 0),
            ("workers", 0),
            ("stall", 1),
        ):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        if not re.fullmatch(r"cpu|(cuda|tensorrt)(:\d+)?", self.device):
            raise InputError(f"--device {self.device}: give cpu, cuda, cuda:1 (and so on) or tensorrt")
        if self.workers and self.threads:
            raise InputError("--threads and --workers: each worker's threads are its share of the processors")
        if len(set(self.carry)) != len(self.carry):
            raise InputError(f"--carry names a column twice: {','.join(self.carry)}")

    @property
    def encoder(self) -> str:
        """The path of the bundle that embeds beside the rankers; empty where none does."""
        return "" if self.embeddings == OWN else self.embeddings

    def fingerprint(self) -> dict[str, Any]:
        """Give the settings that may change an output byte; what the gates led to, a plan has by itself."""
        # What these led to stands beside what is said of each ranker: they may leave the choice to us.
        apart = (*HERE, "engine", "precision", "graph", "batch_tokens", "gates", "embeddings")
        return {name: value for name, value in asdict(self).items() if name not in apart}

    def given(self) -> dict[str, Any]:
        """Give the settings that another process needs to go on with a run, wherever it is."""
        given = {name: value for name, value in asdict(self).items() if name not in HERE}
        return (
            given
            | {"carry": list(self.carry), "gates": self.gates and os.path.abspath(self.gates)}
            | ({"embeddings": os.path.abspath(self.encoder)} if self.encoder else {})
        )

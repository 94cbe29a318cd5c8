"""Engines that run graphs: token arrays in, arrays out. They know nothing of text."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError

Batch = Callable[[int, int], None]
"""Told after every batch: real tokens, and tokens with padding."""


class Engine(Protocol):
    """One graph, ready to run."""

    name: str
    precision: str

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Give the named outputs for the feeds."""
        ...


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "no runtime is installed: pip install 'scar-rank[cpu]' (or 'scar-rank[gpu]' for CUDA)"
        ) from None
    return onnxruntime


class OnnxRuntime:
    """ONNX Runtime on the CPU, in fp32."""

    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, path: Path, threads: int = 0) -> None:
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or processors()
        options.inter_op_num_threads = 1
        # Every batch has another shape: a memory pattern or an arena for each would only grow.
        options.enable_mem_pattern = False
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the graph."""
        result: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(feeds))
        return result


def versions() -> dict[str, str]:
    """Give the versions of the libraries that make a score."""
    import tokenizers

    import scar

    return {
        "scar-rank": scar.__version__,
        "onnxruntime": _onnxruntime().__version__,
        "tokenizers": tokenizers.__version__,
        "numpy": np.__version__,
    }


def processor() -> dict[str, Any]:
    """Give the processor features on which fast kernels, and so rounding, depend."""
    wanted = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    flags = next(
        (line.split(":", 1)[1].split() for line in text.splitlines() if line.startswith("flags")), []
    )
    return {"machine": platform.machine(), "features": sorted(wanted & set(flags))}

"""OpenVINO, reading the same ONNX files."""

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from scar.errors import InputError, RunError
from scar.serving.engines.engine import Arrays, Feeds, InFlight
from scar.serving.engines.machine import has_bf16

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Precision of a graph -> that of the operators that the graph itself does not quantise."""


def openvino() -> Any:
    """Import the library, without what tells its makers of it; InputError names the extra where it is missing."""
    # Its converter, which is imported along, reports to Google Analytics. Without the reporter it takes a stub.
    sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
    try:
        import openvino
    except ImportError:
        raise InputError("--engine openvino: not installed: pip install 'scar-rank[openvino]'") from None
    return openvino


def compiled(model: Any, settings: Mapping[str, Any]) -> Any:
    """Compile a model, or the file of one, for the CPU.

    In a thread of its own: the plugin gives the thread that loads it a stack for signals, and frees it while that
    thread uses it yet. In the main thread, SIGTERM or Ctrl-C would then end the process with SIGSEGV.
    """
    library = openvino()
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: library.Core().compile_model(model, "CPU", dict(settings))).result()


class OpenVino:
    """A graph in OpenVINO on the CPU, several infer requests in flight."""

    name = "openvino"

    def __init__(self, path: Path, precision: str = "fp32", *, threads: int = 1, device: str = "cpu") -> None:
        """`threads` batches run at a time, each on one."""
        openvino()
        if device != "cpu":
            raise InputError(f"--device {device}: the openvino engine runs on the cpu")
        if precision not in HINTS:
            raise InputError(f"--precision {precision}: the openvino engine has {', '.join(HINTS)}")
        if precision == "bf16" and not has_bf16():
            raise InputError(
                "--precision bf16: this processor has no AVX512-BF16 or AMX; it would be slower than fp32"
            )
        self.precision = precision
        self._in_flight = InFlight(threads)
        self._local = threading.local()
        self._model = compiled(
            str(path),
            {
                "INFERENCE_PRECISION_HINT": HINTS[precision],
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": threads,
                "PERFORMANCE_HINT": "THROUGHPUT",
            },
        )

    def run(self, outputs: Sequence[str], feeds: Feeds) -> Arrays:
        """Run the graph, on a request of the calling thread's own. Raises RunError where it cannot take its feeds."""
        if not hasattr(self._local, "request"):
            self._local.request = self._model.create_infer_request()
        request = self._local.request
        try:
            request.infer(dict(feeds), share_inputs=True)
        except RuntimeError as error:
            raise RunError(" ".join(str(error).split())[:2000]) from None
        # Copies: the request writes its next results to the same memory.
        return [np.array(request.get_tensor(name).data, dtype=np.float32) for name in outputs]

    def stream(self, outputs: Sequence[str], batches: Iterable[Feeds]) -> Iterator[Arrays]:
        """Run batches, as many at a time as there are threads."""
        return self._in_flight.stream(lambda feeds: self.run(outputs, feeds), batches)

"""ONNX Runtime."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scar.errors import InputError, RunError
from scar.serving.engines.engine import Arrays, Feeds, InFlight
from scar.serving.engines.libraries import version_of

WHEELS = ("onnxruntime", "onnxruntime-gpu")
"""Two builds of one package."""


def failures() -> tuple[type[Exception], ...]:
    """Give the errors with which the library refuses a graph or a batch: it has no common class of them."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found = (getattr(state, name) for name in dir(state))
    return tuple(error for error in found if isinstance(error, type) and issubclass(error, Exception))


def onnxruntime() -> Any:
    """Import the library; InputError names the extras where it is missing, or there twice."""
    if all(version_of(wheel) for wheel in WHEELS):
        raise InputError(
            f"{' and '.join(WHEELS)} are both installed, and overwrite each other: "
            f"pip uninstall -y {' '.join(WHEELS)}, then install one extra, 'scar-rank[cpu]' or 'scar-rank[gpu]'"
        )
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "no runtime is installed: pip install 'scar-rank[cpu]' (or 'scar-rank[gpu]' for CUDA)"
        ) from None
    return onnxruntime


PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntime:
    """A graph in ONNX Runtime: on the CPU, one batch a thread; on a GPU, by the provider that was asked for."""

    name = "onnxruntime"

    def __init__(self, path: Path, precision: str = "fp32", *, threads: int = 1, device: str = "cpu") -> None:
        """`threads` batches run at a time, each on one: batches share nothing, the parts of one wait for each other."""
        runtime = onnxruntime()
        self.precision = precision
        self._in_flight = InFlight(threads if device == "cpu" else 1)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Every batch has another shape: a memory pattern for each would only grow.
        options.enable_mem_pattern = False
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = _session(runtime, path, options, device)

    def run(self, outputs: Sequence[str], feeds: Feeds) -> Arrays:
        """Run the graph. Raises RunError where it cannot take what it is fed."""
        try:
            result: Arrays = self._session.run(list(outputs), dict(feeds))
        except failures() as error:
            raise RunError(" ".join(str(error).split())[:2000]) from None
        return result

    def stream(self, outputs: Sequence[str], batches: Iterable[Feeds]) -> Iterator[Arrays]:
        """Run batches, as many at a time as there are threads."""
        return self._in_flight.stream(lambda feeds: self.run(outputs, feeds), batches)


def _session(runtime: Any, path: Path, options: Any, device: str) -> Any:
    """Open a graph on the provider of a device; InputError where it cannot be started: the CPU must not stand in."""
    wanted = _providers(runtime, device)
    try:
        session = runtime.InferenceSession(str(path), options, providers=wanted, enable_fallback=0)
    except RuntimeError as error:
        if device == "cpu":
            raise
        raise InputError(f"--device {device}: {' '.join(str(error).split())[:300]}") from None
    # A provider whose libraries are missing is dropped with a line in a log.
    if (first := session.get_providers()[0]) != wanted[0][0]:
        raise InputError(
            f"--device {device}: {wanted[0][0]} could not be started, {first} stands in: check CUDA and cuDNN"
        )
    return session


def _providers(runtime: Any, device: str) -> list[Any]:
    """Give the provider of a device, `cpu`, `cuda`, `cuda:1` or `tensorrt`, never another one in its place."""
    kind, _, number = device.partition(":")
    have = runtime.get_available_providers()
    if kind not in PROVIDERS:
        raise InputError(f"--device {device}: ONNX Runtime runs on {', '.join(PROVIDERS)}")
    if PROVIDERS[kind] not in have:
        raise InputError(
            f"--device {device}: this ONNX Runtime has no {PROVIDERS[kind]} (it has {', '.join(have)}): "
            "pip install 'scar-rank[gpu]' in the place of the cpu extra"
        )
    options = {} if kind == "cpu" else {"device_id": number or "0"}
    if kind == "cuda":
        # An arena that doubles takes the whole card for batches of many shapes.
        options["arena_extend_strategy"] = "kSameAsRequested"
        # TF32 keeps ten bits of fp32: no fp32 gate would hold.
        options["use_tf32"] = "0"
    return [(PROVIDERS[kind], options)]

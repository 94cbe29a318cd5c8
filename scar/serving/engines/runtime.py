"""How a graph is run: on which engine, in which precision, on which device."""

from dataclasses import dataclass
from pathlib import Path

from scar.errors import InputError
from scar.serving.engines.engine import Engine
from scar.serving.engines.graph_file import GraphError, check_graph
from scar.serving.engines.machine import processors
from scar.serving.engines.onnx import OnnxRuntime, failures
from scar.serving.engines.openvino import OpenVino


@dataclass(frozen=True)
class Runtime:
    """Engine, precision, device and threads (0: the processors that this process may use)."""

    engine: str = "onnxruntime"
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 0

    def open(self, path: Path) -> Engine:
        """Open a graph file. Raises InputError where it is more than a graph, or engine or device are not there."""
        check_graph(path)
        try:
            return self._opened(path)
        except self._refusals() as error:
            told = " ".join(str(error).split())[:300]
            raise GraphError(f"{path}: {self.engine} cannot open the graph: {told}") from None

    def _refusals(self) -> tuple[type[Exception], ...]:
        """Give the errors with which the library refuses a graph."""
        # Words of a damaged file, told in the error, need not be text.
        own = failures() if self.engine == OnnxRuntime.name else ()
        return (RuntimeError, UnicodeDecodeError, *own)

    def _opened(self, path: Path) -> Engine:
        threads = self.threads or processors()
        if self.engine == "onnxruntime":
            return OnnxRuntime(path, self.precision, threads=threads, device=self.device)
        if self.engine == "openvino":
            return OpenVino(path, self.precision, threads=threads, device=self.device)
        raise InputError(f"engine {self.engine!r} runs no graph file")

    def head(self) -> "Runtime":
        """Give the runtime of what must stay in fp32 beside a graph of another precision."""
        return Runtime(self.engine, "fp32", self.device, self.threads)

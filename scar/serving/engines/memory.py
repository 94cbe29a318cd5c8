"""An engine that runs out of memory: how to tell, and the token budget that gives way."""

import logging
import threading

log = logging.getLogger("scar")

OUT_OF_MEMORY = (
    "out of memory",  # torch on CUDA; "CUDA failure 2: out of memory" of ONNX Runtime; TensorRT
    "failed to allocate",  # BFCArena of ONNX Runtime, with "memory for requested buffer of size"; OpenVINO's CPU memory
    "can't allocate memory",  # DefaultCPUAllocator of torch
    "cannot allocate memory",  # the system's own words, ENOMEM
    "could not allocate memory",  # older OpenVINO
    "bad_alloc",  # std::bad_alloc, by way of pybind11 or a status message
    "bad allocation",  # the same on Windows
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
)
"""What the libraries say, in small letters: they share no class of error, and some only a RuntimeError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an engine failed for want of memory, so that a smaller batch may fit."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    told = str(error).lower()
    return any(words in told for words in OUT_OF_MEMORY)


class TokenBudget:
    """Most tokens of a batch, padding counted; halved when memory runs out, for all batches made after."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._lock = threading.Lock()

    def halve(self, before: int, why: str) -> None:
        """Halve the budget, unless another thread has done so since it was `before`."""
        with self._lock:
            if self.tokens != before:
                return
            self.tokens = max(1, before // 2)
        log.warning(
            "out of memory: batches of at most %d tokens from here on, not %d (%s)", self.tokens, before, why
        )

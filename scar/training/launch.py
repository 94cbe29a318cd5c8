"""A bundle's ranker on a device: batches are started, their results fetched later. Needs no ONNX graph."""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from scar.bundle import Bundle
from scar.errors import InputError
from scar.serving.engines import Arrays, Feeds
from scar.serving.engines.pytorch import Launch, Torch
from scar.training.save import load_ranker
from scar.training.style.model import StyleRanker
from scar.training.unpadded import forward_of, moved

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def open_ranker(folder: Path, precision: str, device: str) -> list[Torch]:
    """Open a bundle's ranker: tower and head of a style ranker, one engine of the others. The head is fp32 always."""
    place = device_of(device, precision)
    ranker = load_ranker(Bundle.open(folder))
    forward = forward_of(ranker, place, PRECISIONS[precision])
    body = Torch(launcher(forward, place), precision, forward.attention, forward.unpadded)
    if not isinstance(ranker, StyleRanker):
        return [body]

    def head(_: Sequence[str], feeds: Feeds) -> list[Tensor]:
        return [ranker(**{name: moved(array, place) for name, array in feeds.items()})]

    return [body, replace(body, launch=launcher(head, place), precision="fp32")]


def device_of(name: str, precision: str) -> torch.device:
    """Give the device of a name, never another one in its place. Raises InputError where it is not to be had."""
    if precision not in PRECISIONS:
        raise InputError(f"--precision {precision}: the torch engine has {', '.join(PRECISIONS)}")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"--device {name}: the torch engine runs on cuda, cuda:1 and so on, and cpu")
    device = torch.device(name)
    if device.type == "cuda":
        _require_cuda(device, precision)
    elif precision != "fp32":
        raise InputError(f"--precision {precision}: on the cpu the torch engine has fp32; use --device cuda")
    return device


def _require_cuda(device: torch.device, precision: str) -> None:
    if not torch.cuda.is_available():
        raise InputError(
            f"--device {device}: torch {torch.__version__} finds no CUDA device here: install a CUDA build of torch "
            "and the driver, or score with --engine onnxruntime"
        )
    if (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device {device}: there are {torch.cuda.device_count()}, from cuda:0")
    with torch.cuda.device(device):
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise InputError(
                f"--precision bf16: {torch.cuda.get_device_name()} has no bf16; use --precision fp16"
            )


def launcher(forward: Callable[[Sequence[str], Feeds], list[Tensor]], device: torch.device) -> Launch:
    """Give the function that starts a batch on a device and returns what waits for its results."""

    def launch(outputs: Sequence[str], feeds: Feeds) -> Callable[[], Arrays]:
        with torch.inference_mode(), _at(device):
            return _fetched(forward(outputs, feeds), device)

    return launch


def _at(device: torch.device) -> AbstractContextManager[object]:
    # Kernels of other libraries start on the current device, not on that of their arguments.
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _fetched(results: list[Tensor], device: torch.device) -> Callable[[], Arrays]:
    """Start to copy results back; gives what waits until they are there."""
    if device.type == "cpu":
        return lambda: [result.numpy() for result in results]
    copies = [torch.empty(result.shape, dtype=result.dtype, pin_memory=True) for result in results]
    for copy, result in zip(copies, results, strict=True):
        copy.copy_(result, non_blocking=True)
    done = torch.cuda.current_stream(device).record_event()

    def wait() -> Arrays:
        done.synchronize()
        return [copy.numpy() for copy in copies]

    return wait

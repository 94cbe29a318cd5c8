"""The processors that this process has: how many, and what they can do."""

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

FEATURES = {
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "bf16",
    "i8mm",
}
"""Features on which fast kernels, and so rounding, depend; the last two are of ARM."""
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""A processor with one of them multiplies bf16 numbers; without, bf16 is emulated, slower than fp32."""


def processors() -> int:
    """Count the processors that this process may use: its affinity, and the quota of its control groups."""
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(have, round(granted() or have)))


def granted() -> float | None:
    """Give the processors that the control groups of this process grant it; None where none sets a limit."""
    return quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))


def quota(root: Path, own: Path) -> float | None:
    """Give the processors that a control group grants this process; None where none sets a limit.

    A container is told of all processors of its host, and is stopped for most of each period when it uses them.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return None
    limits: list[float] = []
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if not controllers or "cpu" in controllers.split(","):
            base = root if not controllers else root / ("cpu" if (root / "cpu").is_dir() else controllers)
            inside = [base / path.strip("/"), *(base / path.strip("/")).parents]
            limits += [limit for folder in inside if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _limit(folder: Path) -> float | None:
    """Read the quota of one control group, of version 2 or 1."""
    try:
        if (folder / "cpu.max").is_file():
            most, period = (folder / "cpu.max").read_text().split()
        else:
            most = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return None
    return None if most in ("max", "-1") else int(most) / int(period)


def processor() -> dict[str, Any]:
    """Give the processor features on which fast kernels, and so rounding, depend."""
    return {"machine": platform.machine(), "features": sorted(FEATURES & _flags())}


def hardware(device: str) -> dict[str, Any]:
    """Give what rounding depends on: the processor's features, or the GPU's name where a GPU computes."""
    if device == "cpu":
        return processor()
    # CUDA numbers cards by speed and by what is visible, the driver by address: of several kinds none is certain.
    kinds = set(cards())
    return {"card": kinds.pop() if len(kinds) == 1 else "unknown"}


def cards(folder: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """Give the names of the GPUs that the NVIDIA driver shows this process, in the order of their addresses."""
    try:
        told = [(card / "information").read_text() for card in sorted(folder.iterdir())]
    except OSError:
        return []
    lines = (line for text in told for line in text.splitlines() if line.startswith("Model:"))
    return [line.partition(":")[2].strip() for line in lines]


def memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Give the bytes of memory that are available, None where the system does not tell."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    except OSError:
        return None
    told = lines.get("MemAvailable", "").split()
    return int(told[0]) * 1024 if told else None


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """Give the most memory that this process has had resident since its program began, bytes.

    Not what `wait4` tells a parent: there the memory of the parent's own program, before `exec`, is a floor.
    """
    try:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def has_bf16() -> bool:
    """Tell whether the processor multiplies bf16 numbers itself."""
    return bool(BF16 & _flags())


def _flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    lines = (line for line in text.splitlines() if line.lower().startswith(("flags", "features")))
    return set(next(lines, ":").split(":", 1)[1].split())

"""Which libraries are installed, and in which versions; none of them is imported."""

from importlib.metadata import PackageNotFoundError, version

import numpy as np

import scar

NAMES = ("tokenizers", "onnxruntime", "onnxruntime-gpu", "openvino", "torch", "transformers", "flash-attn")


def version_of(name: str) -> str | None:
    """Give the version of an installed package, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Give the versions of the installed libraries that make a score."""
    found = {"scar-rank": scar.__version__, "numpy": np.__version__}
    return found | {name: have for name in NAMES if (have := version_of(name))}

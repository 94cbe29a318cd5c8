"""Engines that run graphs: token arrays in, arrays out. One small class an engine; they know nothing of text."""

from scar.serving.engines.engine import Arrays, Batch, Engine, Feeds
from scar.serving.engines.libraries import version_of, versions
from scar.serving.engines.machine import cards, hardware, has_bf16, processor, processors
from scar.serving.engines.runtime import Runtime
from scar.serving.engines.table import Budget, budget

__all__ = [
    "Arrays",
    "Batch",
    "Budget",
    "Engine",
    "Feeds",
    "Runtime",
    "budget",
    "cards",
    "hardware",
    "has_bf16",
    "processor",
    "processors",
    "version_of",
    "versions",
]

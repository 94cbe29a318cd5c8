"""Engines that run graphs: token arrays in, arrays out. One small class an engine; they know nothing of text."""

from scar.serving.engines.engine import Arrays, Batch, Engine, Feeds
from scar.serving.engines.machine import processor, processors
from scar.serving.engines.runtime import Runtime, versions
from scar.serving.engines.table import Budget, budget

__all__ = [
    "Arrays",
    "Batch",
    "Budget",
    "Engine",
    "Feeds",
    "Runtime",
    "processor",
    "budget",
    "processors",
    "versions",
]

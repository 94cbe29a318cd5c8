"""Engines that run graphs: token arrays in, arrays out. One small class an engine; they know nothing of text."""

from scar.serving.engines.engine import Arrays, Batch, Engine, Feeds, in_order
from scar.serving.engines.machine import processor, processors
from scar.serving.engines.runtime import Runtime, versions

__all__ = ["Arrays", "Batch", "Engine", "Feeds", "Runtime", "in_order", "processor", "processors", "versions"]

"""A look at a pool before it is scored: what was detected, what the model will see, what would be set aside."""

from scar.inspection.look import inspect_pool
from scar.inspection.seen import QUANTILES, Inspection, Sample

__all__ = ["QUANTILES", "Inspection", "Sample", "inspect_pool"]

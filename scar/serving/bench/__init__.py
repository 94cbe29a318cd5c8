"""Benchmarks of scoring: contenders timed in turn, each in a process of its own. They decide nothing in a run."""

from scar.serving.bench.measure import bench
from scar.serving.bench.tuning import tune

__all__ = ["bench", "tune"]

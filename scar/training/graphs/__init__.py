"""A ranker's ONNX graphs: written by PyTorch's exporter, and fused for ONNX Runtime."""

from scar.training.graphs.fuse import FUSED as FUSED
from scar.training.graphs.fuse import fuse as fuse
from scar.training.graphs.fuse import unfused as unfused
from scar.training.graphs.write import write_graphs as write_graphs

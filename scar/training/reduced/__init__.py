"""Graphs in fewer bits: file -> file, the names and types of inputs and outputs kept. Judges nothing.

What is reduced are the products of hidden states with weights; softmax, normalisation, pooling and head stay fp32.
"""

from scar.training.reduced.dynamic import to_dynamic
from scar.training.reduced.fp16 import to_fp16
from scar.training.reduced.int8 import to_int8
from scar.training.reduced.w8 import to_w8

__all__ = ["to_dynamic", "to_fp16", "to_int8", "to_w8"]

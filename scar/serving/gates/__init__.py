"""Gates: does a graph, an engine or a precision give the scores of the model? Torch-free; what scoring trusts."""

from scar.serving.gates.figures import Figures, compare
from scar.serving.gates.gate import Reference, candidate_runs, gate, judge, record_of, unverified
from scar.serving.gates.hard import hard_pairs, hard_texts
from scar.serving.gates.limits import FP32_LIMIT, LEAST_ROWS, is_trained
from scar.serving.gates.rows import load_gate_rows, save_gate_rows

__all__ = [
    "FP32_LIMIT",
    "LEAST_ROWS",
    "Figures",
    "Reference",
    "candidate_runs",
    "compare",
    "gate",
    "hard_pairs",
    "hard_texts",
    "is_trained",
    "judge",
    "load_gate_rows",
    "record_of",
    "save_gate_rows",
    "unverified",
]

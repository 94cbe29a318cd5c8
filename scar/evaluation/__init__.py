"""How good scores are, by kind of judgement, beside longest, shortest and random. Numpy only; knows no files."""

from scar.evaluation.figures import accuracy, auc, interval
from scar.evaluation.judged import evaluate_judged, judgement_of, preferred
from scar.evaluation.tiers import Comparison, evaluate, kendall, ordered

__all__ = [
    "Comparison",
    "accuracy",
    "auc",
    "evaluate",
    "evaluate_judged",
    "interval",
    "judgement_of",
    "kendall",
    "ordered",
    "preferred",
]

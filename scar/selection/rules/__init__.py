"""The rules, a file a family. `scar.rules` is their door."""

from typing import Any

from scar.selection.rules.budget import LengthBand, TokenBudget
from scar.selection.rules.chain import Chain, needs_of, stages_of
from scar.selection.rules.duplicates import ExactDuplicates, NearDuplicates
from scar.selection.rules.groups import PerGroup
from scar.selection.rules.must import MustKeep
from scar.selection.rules.rule import KEPT, NOBODY, NOT_ELIGIBLE, Needs, Rule, Selection
from scar.selection.rules.thresholds import Above, Between, Quantile, Ratio, TopK
from scar.selection.rules.twins import Longest, Random

RULES: dict[str, type[Any]] = {
    rule.__name__: rule
    for rule in (
        *(TopK, Ratio, Above, Between, Quantile, PerGroup, TokenBudget, LengthBand, MustKeep),
        *(Random, Longest, ExactDuplicates, NearDuplicates),
    )
}
"""Every rule by its name in a rules.yaml."""

__all__ = [
    "KEPT",
    "NOBODY",
    "NOT_ELIGIBLE",
    "RULES",
    "Above",
    "Between",
    "Chain",
    "ExactDuplicates",
    "LengthBand",
    "Longest",
    "MustKeep",
    "NearDuplicates",
    "Needs",
    "PerGroup",
    "Quantile",
    "Random",
    "Ratio",
    "Rule",
    "Selection",
    "TokenBudget",
    "TopK",
    "needs_of",
    "stages_of",
]

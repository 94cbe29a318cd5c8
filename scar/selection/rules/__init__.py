"""The rules, a file a family. `scar.rules` is their door."""

from typing import Any

from scar.selection.rules.budget import LengthBand, TokenBudget
from scar.selection.rules.chain import Chain, needs_of, stages_of
from scar.selection.rules.clusters import Clusters
from scar.selection.rules.compress import Compress
from scar.selection.rules.diverse import Diverse
from scar.selection.rules.duplicates import ExactDuplicates, NearDuplicates
from scar.selection.rules.facility import FacilityLocation
from scar.selection.rules.funnel import Funnel
from scar.selection.rules.groups import PerGroup
from scar.selection.rules.kcenter import KCenter
from scar.selection.rules.must import MustKeep
from scar.selection.rules.quantize import Quantize
from scar.selection.rules.rebalance import Rebalance
from scar.selection.rules.rule import KEPT, NOBODY, NOT_ELIGIBLE, Needs, Rule, Selection
from scar.selection.rules.semantic import OnePass, SemanticDuplicates
from scar.selection.rules.tags import TagCover
from scar.selection.rules.thresholds import Above, Between, Quantile, Ratio, TopK
from scar.selection.rules.twins import Longest, Random

_ALL: tuple[type[Any], ...] = (
    *(TopK, Ratio, Above, Between, Quantile, PerGroup, TokenBudget, LengthBand, MustKeep),
    *(ExactDuplicates, NearDuplicates, SemanticDuplicates, OnePass),
    *(Diverse, KCenter, Clusters, Quantize, Compress, TagCover, FacilityLocation, Rebalance, Funnel),
    *(Random, Longest),
)
RULES: dict[str, type[Any]] = {rule.__name__: rule for rule in _ALL}
"""Every rule by its name in a rules.yaml."""

__all__ = [
    "KEPT",
    "NOBODY",
    "NOT_ELIGIBLE",
    "RULES",
    "Above",
    "Between",
    "Chain",
    "Clusters",
    "Compress",
    "Diverse",
    "ExactDuplicates",
    "FacilityLocation",
    "Funnel",
    "KCenter",
    "LengthBand",
    "Longest",
    "MustKeep",
    "NearDuplicates",
    "Needs",
    "OnePass",
    "PerGroup",
    "Quantile",
    "Quantize",
    "Random",
    "Ratio",
    "Rebalance",
    "Rule",
    "Selection",
    "SemanticDuplicates",
    "TagCover",
    "TokenBudget",
    "TopK",
    "needs_of",
    "stages_of",
]

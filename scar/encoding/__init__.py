"""Text -> token ids: one path for training and serving. Needs only numpy and tokenizers."""

from scar.encoding.pairs import Pair, PairEncoder, Pairs, encode_for
from scar.encoding.settings import Inputs, TextSettings
from scar.encoding.template import Template
from scar.encoding.text import CHARACTERS_A_TOKEN, Cut, TextEncoder

__all__ = [
    "CHARACTERS_A_TOKEN",
    "Cut",
    "Inputs",
    "Pair",
    "PairEncoder",
    "Pairs",
    "Template",
    "TextEncoder",
    "TextSettings",
    "encode_for",
]

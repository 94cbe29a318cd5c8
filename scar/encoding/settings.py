"""What ranker.json says of text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from scar.encoding.template import Template
from scar.encoding.text import Cut

Inputs = Literal["each", "pair", "instruction", "response"]


@dataclass(frozen=True)
class TextSettings:
    """What ranker.json says of text: the template, the lengths, and where over-long texts are cut."""

    pad_id: int
    max_tokens: int = 512
    """Tokens of a sequence: of each text alone, or of both in one."""
    template: Template = field(default_factory=Template)
    instruction: Cut = "tail"
    dialogue: Cut = "head"
    """Cut of an instruction of several turns: its last turns matter most."""
    response: Cut = "tail"
    inputs: Inputs = "each"
    """What the encoder sees: each text alone, both as one sequence, or one of the two."""
    token_types: bool = False
    """Whether the encoder is told which tokens are the second text's."""

    @classmethod
    def of(cls, ranker: Mapping[str, Any]) -> "TextSettings":
        """Read the `text` part of ranker.json."""
        values = dict(ranker["text"])
        return cls(template=Template(**values.pop("template")), **values)

"""What ranker.json says of text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from scar.encoding.template import Template
from scar.encoding.text import Cut
from scar.errors import InputError

Inputs = Literal["each", "pair", "instruction", "response", "text"]
MOST_WORDS = 1 << 24
"""No vocabulary is larger."""
CUTS, INPUTS = get_args(Cut), get_args(Inputs)
MOST_TOKENS = 32_768
"""No encoder takes more. Texts are cut to so many characters a token: a config without a limit must not undo that."""


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
    """What the encoder sees: each text alone, both as one sequence, one of the two, or both as one text."""
    token_types: bool = False
    """Whether the encoder is told which tokens are the second text's."""

    def __post_init__(self) -> None:
        """Check what a changed ranker.json may say."""
        for name, least, most in (("pad_id", 0, MOST_WORDS), ("max_tokens", 1, MOST_TOKENS)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
            if value > most:
                raise InputError(f"{name} must be at most {most:,}, got {value!r}")
        if not isinstance(self.token_types, bool):
            raise InputError(f"token_types must be true or false, got {self.token_types!r}")
        if strange := [name for name, text in vars(self.template).items() if not isinstance(text, str)]:
            raise InputError(f"template: {strange[0]} must be a text")
        for name, known in (
            ("instruction", CUTS),
            ("dialogue", CUTS),
            ("response", CUTS),
            ("inputs", INPUTS),
        ):
            if (value := getattr(self, name)) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")

    @classmethod
    def of(cls, ranker: Mapping[str, Any]) -> "TextSettings":
        """Read the `text` part of ranker.json."""
        values = dict(ranker["text"])
        return cls(template=Template(**values.pop("template")), **values)

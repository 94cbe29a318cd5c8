"""How the turns before a response become one text. Knows no tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass

from scar.records import Turn


@dataclass(frozen=True)
class Template:
    """How the turns before a response become one text. A single user turn stands bare, as SCAR has it."""

    user: str = "User: "
    assistant: str = "Assistant: "
    system: str = "System: "
    separator: str = "\n\n"

    def render(self, turns: Sequence[Turn]) -> str:
        """Give the text of the turns."""
        if len(turns) == 1 and turns[0].role != "system":
            return turns[0].text
        marks = {"user": self.user, "assistant": self.assistant, "system": self.system}
        # The system turn comes first, wherever the row has it.
        ordered = sorted(turns, key=lambda turn: turn.role != "system")
        return self.separator.join(marks.get(turn.role, f"{turn.role}: ") + turn.text for turn in ordered)

    def whole(self, turns: Sequence[Turn], response: str) -> str:
        """Give the text of the turns and the response, a separator between them."""
        return f"{self.render(turns)}{self.separator}{response}"

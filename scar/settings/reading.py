"""How the rows of a pool are read: the flags that all commands share."""

from dataclasses import dataclass
from typing import Literal, get_args

from scar.errors import InputError

LayoutName = Literal[
    "auto", "plain", "alpaca", "sharegpt", "messages", "prompt-completion", "preference", "tiers"
]
TURNS = ("last", "each")


@dataclass(frozen=True)
class Reading:
    """How the rows of a pool are read."""

    format: LayoutName = "auto"
    """Layout of the rows; auto looks at the first readable rows of each file."""
    columns: str = ""
    """Columns under other names: instruction=prompt,response=answer."""
    turns: Literal["last", "each"] = "last"
    """Of dialogues: score the last answer, or each answer; --aggregate makes one score of them."""
    responses: str = "all"
    """Of rows with several responses: all, or the name of one, such as chosen."""
    strict: bool = False
    """Stop at the first row that cannot be read."""

    def __post_init__(self) -> None:
        """Check each once: a plan or a manifest names them too."""
        types = {"columns": str, "responses": str, "strict": bool}
        wrong = [name for name, kind in types.items() if not isinstance(getattr(self, name), kind)]
        wrong += ["format"] * (self.format not in get_args(LayoutName)) + ["turns"] * (
            self.turns not in TURNS
        )
        if wrong:
            raise InputError(f"{wrong[0]}: {str(getattr(self, wrong[0]))[:80]!r} is none of its values")
        _ = self.column_map

    @property
    def column_map(self) -> dict[str, str]:
        """The `columns` text as field -> column."""
        pairs = [pair.split("=", 1) for pair in self.columns.split(",") if pair.strip()]
        if any(len(pair) != 2 or not pair[0].strip() or not pair[1].strip() for pair in pairs):
            raise InputError(
                f"--columns {self.columns!r}: write field=column pairs, such as instruction=prompt,response=answer"
            )
        names = [name.strip() for name, _ in pairs]
        if len(set(names)) < len(names):
            raise InputError(
                f"--columns {self.columns!r} maps a field twice: write each once, as in instruction=prompt"
            )
        return {name.strip(): column.strip() for name, column in pairs}

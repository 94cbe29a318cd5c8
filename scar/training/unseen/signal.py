"""What a seen-vs-unseen classifier looks at: the instruction, the response, or both; and what an encoder sees of it."""

from scar.encoding import Pairs, Template
from scar.records import Record
from scar.settings.unseen import On


def signal_of(record: Record, on: On) -> str:
    """Give the text that is looked at; `both` is the instruction, a blank line and the response."""
    if on == "response":
        return record.response
    asked = Template().render(record.turns)
    return asked if on == "instruction" else f"{asked}\n\n{record.response}"


def sequences_of(pairs: Pairs) -> list[bytes]:
    """Give what the encoder sees of each pair: its token ids, cut."""
    ids, ends = pairs.tokens.ids, pairs.tokens.offsets
    return [ids[ends[text] : ends[text + 1]].tobytes() for text in pairs.x]

"""The text that a seen-vs-unseen classifier looks at: the instruction, the response, or both."""

from scar.encoding import Template
from scar.records import Record
from scar.settings.unseen import On


def signal_of(record: Record, on: On, template: Template | None = None) -> str:
    """Give the text that is looked at; `both` is the instruction, a blank line and the response."""
    if on == "response":
        return record.response
    asked = (template or Template()).render(record.turns)
    return asked if on == "instruction" else f"{asked}\n\n{record.response}"

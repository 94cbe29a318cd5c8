"""The replies of several batch files, found by what was asked. Knows neither pools nor prompts.

In memory stand the grades, and where each text stands in its file: about 350 bytes a reply, not its text.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from scar.errors import InputError
from scar.records import Record
from scar.tiers.batch import Reply, read_reply
from scar.tiers.grades import parse_grade
from scar.tiers.missing import Missing, Why
from scar.tiers.questions import GRADES, TEXTS, Question, graded_aspect, slot


class Place(NamedTuple):
    """Where a reply stands: number of the file, byte of its line."""

    file: int
    offset: int


class Found(NamedTuple):
    """A reply to one slot."""

    hash: str
    value: float | Place | Missing


class Replies:
    """Replies by slot; of several to one question the last good one counts."""

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        """Read the files; they stay open while the texts are looked up. InputError at one that holds no replies."""
        self.bad_lines = 0
        """Lines that are no replies."""
        self.repeated = 0
        """Replies to a question that had one already."""
        self._claimed = 0
        self._slots: dict[str, tuple[Found, ...]] = {}
        self._open = ExitStack()
        self._files: list[IO[bytes]] = []
        with ExitStack() as opened:
            for number, path in enumerate(paths):
                self._files.append(opened.enter_context(open(path, "rb")))
                self._read(number)
            self._open = opened.pop_all()

    def __enter__(self) -> "Replies":
        """Keep the files open for the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._open.close()

    def __len__(self) -> int:
        """Give the number of slots with a reply."""
        return len(self._slots)

    @property
    def unknown(self) -> int:
        """Slots that belong to no record claimed so far."""
        return len(self._slots) - self._claimed

    def claim(self, record: Record) -> None:
        """Count the slots of a record of the pool as known; once a record."""
        slots = (slot(record.address, record.part, what) for what in (*TEXTS, *GRADES))
        self._claimed += sum(name in self._slots for name in slots)

    def text(self, question: Question) -> str | Missing:
        """Give the text that answers a question, or why there is none."""
        value = self._find(question)
        if isinstance(value, Missing):
            return value
        assert isinstance(value, Place), "a text's slot holds its place"
        file = self._files[value.file]
        file.seek(value.offset)
        reply = read_reply(file.readline())
        if reply is None:
            return Missing.because(Why.MISSING_REPLY, f"{file.name} changed while it was read")
        return reply.answer

    def grade(self, question: Question) -> float | Missing:
        """Give the grade that answers a question, or why there is none."""
        value = self._find(question)
        assert not isinstance(value, Place), "a grade's slot holds the grade"
        return value

    def _find(self, question: Question) -> float | Place | Missing:
        found = self._slots.get(question.slot, ())
        if not found:
            return Missing.because(Why.MISSING_REPLY)
        for reply in found:
            if reply.hash == question.hash:
                return reply.value
        return Missing.because(Why.STALE, "the reply is to another text than stands there now")

    def _read(self, number: int) -> None:
        offset = good = bad = 0
        for raw in self._files[number]:
            if raw.strip():
                reply = read_reply(raw)
                if reply is None:
                    bad += 1
                else:
                    good += 1
                    self._add(reply, Place(number, offset))
            offset += len(raw)
        if bad and not good:
            # Whoever gives the wrong file would ask, and pay, for everything again.
            raise InputError(f"{self._files[number].name} holds no replies; `scar tiers run` writes them")
        self.bad_lines += bad

    def _add(self, reply: Reply, place: Place) -> None:
        slot, _, digest = reply.custom_id.rpartition("-")
        value: float | Place | Missing = place
        if isinstance(reply.answer, Missing):
            value = reply.answer
        elif (aspect := graded_aspect(slot)) is not None:
            value = parse_grade(reply.answer, aspect)
        before = self._slots.get(slot, ())
        same = [found for found in before if found.hash == digest]
        self.repeated += len(same)
        if same and isinstance(value, Missing) and not isinstance(same[0].value, Missing):
            return
        others = tuple(found for found in before if found.hash != digest)
        self._slots[slot] = (*others, Found(digest, value))

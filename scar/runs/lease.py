"""One owner of a run folder on a store: an object that its owner writes again and again, free when that stops.

The store's clock alone tells how old a lease is (Date less LastModified of one answer): clocks of machines do not
matter. What no lease can do is hold back a PUT that its owner sent before it was stopped for longer than the lease.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from scar.errors import InputError, RunError
from scar.runs.conditional import Conditional, Stored, ignores
from scar.runs.lock import Owner, refused

log = logging.getLogger("scar")
SECONDS = 60.0
"""How long a lease holds after it was last written."""
MARGIN = 2.0
"""Stores tell times in whole seconds."""
RENEWALS = 4
"""How often it is written in that time."""
TRIES = 5


@dataclass(frozen=True)
class Note:
    """What stands in a lease."""

    owner: Owner
    token: str
    """Of one holder of one time: by this it knows its own PUT again."""
    seconds: float
    ended: bool
    times: int = 0
    """How often it was written: S3's mark is a hash of the content, so that no two may be alike."""

    @classmethod
    def read(cls, content: bytes) -> "Note | None":
        """Read it; None where it is damaged."""
        try:
            raw = json.loads(content)
            owner = Owner(**{each.name: raw[each.name] for each in fields(Owner)})
            return cls(owner, str(raw["token"]), float(raw["seconds"]), bool(raw["ended"]), int(raw["times"]))
        except (ValueError, KeyError, TypeError):
            return None

    def written(self) -> bytes:
        """Give the content of the object."""
        values = asdict(self)
        return json.dumps({**values.pop("owner"), **values}).encode()


def living(stored: Stored | None) -> Owner | None:
    """Give the owner by whom a lease is held; None where it is free, ended or too old."""
    note = Note.read(stored.content) if stored else None
    if stored is None or note is None or note.ended or stored.age > note.seconds + MARGIN:
        return None
    return note.owner


def died(stored: Stored | None) -> Owner | None:
    """Give the owner that left a lease without ending it."""
    note = Note.read(stored.content) if stored else None
    return note.owner if note and not note.ended else None


def still_held(place: str, stored: Stored, owner: Owner) -> InputError:
    """Make the error for whoever comes second."""
    note = Note.read(stored.content)
    left = max(1, round(note.seconds + MARGIN - stored.age)) if note else 1
    return InputError(f"{refused(place, owner)}. If it died, its lease ends in {left} s")


def end(store: Conditional, path: str, stored: Stored) -> bool:
    """Mark a dead owner's lease as ended, so that it cannot be taken up again; False where it was not dead."""
    note = Note.read(stored.content)
    content = replace(note, ended=True).written() if note else b"{}"
    return store.put(path, content, stored.mark) is not None


@dataclass
class Lease:
    """A lease of this process."""

    store: Conditional
    path: str
    place: str
    """URL of the run, as messages name it."""
    owner: Owner
    seconds: float
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _mark: str = ""
    _renewed: float = 0.0
    _lost: str = ""
    _times: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> Owner | None:
        """Take the lease; gives the owner that died with it. Raises InputError naming the one that lives."""
        for _ in range(TRIES):
            stored, started = self.store.read(self.path), _now()
            if stored and (owner := living(stored)):
                raise still_held(self.place, stored, owner)
            mark = self.store.put(self.path, self._note(), stored.mark if stored else None) or self._mine()
            if mark:
                self._mark, self._renewed = mark, started
                return died(stored)
        raise refused(self.place, None)

    def prove(self) -> None:
        """Try two PUTs that must be refused. Raises InputError where the store ignores the conditions."""
        for mark in (None, '"00000000000000000000000000000000"'):
            if self.store.put(self.path, self._note(), mark) is not None:
                raise ignores(self.place)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the lease again and again, in a thread, for the block; `end` gives it back."""
        stopped = threading.Event()

        def keep() -> None:
            while not stopped.wait(self.seconds / RENEWALS) and not self._lost:
                try:
                    self.renew()
                except Exception as error:  # every kind: whoever writes next meets it again, and raises it
                    log.warning("%s: its lease could not be renewed (%s); trying again", self.place, error)

        thread = threading.Thread(target=keep, daemon=True, name="lease")
        thread.start()
        try:
            yield
        finally:
            stopped.set()

    def end(self) -> None:
        """Let others have it at once."""
        with self._turn:
            if not self._lost:
                # Where the answer to the last PUT was lost, the lease is ours by another mark than we know.
                if not self.store.put(self.path, self._note(ended=True), self._mark) and (
                    mark := self._mine()
                ):
                    self.store.put(self.path, self._note(ended=True), mark)
                self._lost = "it was ended"

    def renew(self) -> None:
        """Write the lease; notes where another has it by now."""
        with self._turn:
            if self._lost:
                return
            started = _now()
            mark = self.store.put(self.path, self._note(), self._mark) or self._mine()
            if mark:
                self._mark, self._renewed = mark, started
            else:
                stored = self.store.read(self.path)
                note = Note.read(stored.content) if stored else None
                self._lost = f"it is {note.owner}'s now" if note else "it was removed"

    def check(self) -> None:
        """Make sure of the lease. Raises RunError where another has it by now."""
        if not self._lost and _now() - self._renewed > self.seconds / 2:
            self.renew()  # this process was stopped, or the store did not answer
        if self._lost:
            raise RunError(
                f"{self.place}: this process has lost its lease of the run, {self._lost}; it stopped"
            )

    def _mine(self) -> str | None:
        """Give the mark of the object where it is this holder's own: a PUT whose answer was lost on the way."""
        stored = self.store.read(self.path)
        note = Note.read(stored.content) if stored else None
        return stored.mark if stored and note and note.token == self.token and not note.ended else None

    def _note(self, *, ended: bool = False) -> bytes:
        self._times += 1
        return Note(self.owner, self.token, self.seconds, ended, self._times).written()


def _now() -> float:
    """Give the seconds of a clock that also runs while the machine sleeps, where there is one."""
    clock: Any = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)

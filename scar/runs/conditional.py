"""PUTs that count only while an object is as it was seen: what keeps two writers apart on a store. Knows no run."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from scar.errors import InputError

_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404")
"""What S3 says where the object is not as it was seen."""
_UNKNOWN = ("NotImplemented", "501")


@dataclass(frozen=True)
class Stored:
    """An object as it is."""

    content: bytes
    mark: str
    """Changes when the object is written."""
    age: float
    """Seconds since then, by the store's own clock alone."""


class Conditional(Protocol):
    """A store that can write under a condition. Paths are those of its file system."""

    def read(self, path: str) -> Stored | None:
        """Read an object; None where there is none."""
        ...

    def put(self, path: str, content: bytes, mark: str | None) -> str | None:
        """Write an object if it still has that mark, or with None if there is none; gives the new mark, or None.

        A PUT whose answer was lost is sent again, and then finds its own object there: who gets None looks at it.
        """
        ...


def conditional(system: Any, place: str) -> Conditional:
    """Give the conditional PUTs of an fsspec file system. Raises InputError where it has none that are known."""
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    kinds: dict[str, Callable[[Any], Conditional]] = {"s3": S3, "memory": Memory}
    if protocol not in kinds:
        raise InputError(
            f"{place}: a run folder needs a store that can refuse a PUT (If-None-Match, If-Match), so that it has one "
            f"writer, and {protocol}:// is not known to: choose s3:// or a path for --out; once the run is finished it "
            f"can be copied to {protocol}://, and `scar select` reads it there"
        )
    return kinds[protocol](system)


@dataclass(frozen=True)
class S3:
    """S3, and stores that speak its protocol."""

    system: Any

    def read(self, path: str) -> Stored | None:
        """Read an object, its age told by the Date of the very answer."""
        from fsspec.asyn import sync

        try:
            answer, content = sync(self.system.loop, self._get, path)
        except FileNotFoundError:
            return None
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Stored(content, answer["ETag"], (now - answer["LastModified"]).total_seconds())

    async def _get(self, path: str) -> tuple[dict[str, Any], bytes]:
        bucket, key, _ = self.system.split_path(path)
        answer = await self.system._call_s3("get_object", Bucket=bucket, Key=key)
        async with answer["Body"] as stream:
            return answer, await stream.read()

    def put(self, path: str, content: bytes, mark: str | None) -> str | None:
        """Write with If-Match or If-None-Match."""
        bucket, key, _ = self.system.split_path(path)
        condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
        try:
            answer = self.system.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
        except OSError as error:
            if (code := _code(error)) in _TAKEN:
                return None
            if code in _UNKNOWN:
                raise ignores(f"s3://{path}") from None
            raise
        return str(answer["ETag"])


def _code(error: OSError) -> str:
    """Give the store's own word for an error that s3fs has translated."""
    answer = getattr(error.__cause__, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


def ignores(place: str) -> InputError:
    """Make the error for a store that writes whatever the condition."""
    return InputError(
        f"{place}: this store knows no conditional PUT (If-None-Match, If-Match), so nothing would keep a second "
        "process out: choose another store, or a path, for --out"
    )


_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Memory:
    """fsspec's memory of this process."""

    system: Any

    def read(self, path: str) -> Stored | None:
        """Read an object."""
        if not self.system.exists(path):
            return None
        content, written = self.system.cat_file(path), self.system.modified(path)
        mark = hashlib.sha256(content + written.isoformat().encode()).hexdigest()
        return Stored(content, mark, (datetime.now(UTC) - written).total_seconds())

    def put(self, path: str, content: bytes, mark: str | None) -> str | None:
        """Compare and write, one thread at a time."""
        with _one_at_a_time:
            seen = self.read(path)
            if (seen and seen.mark) != mark:
                return None
            self.system.pipe_file(path, content)
            written = self.read(path)
            return written.mark if written else None

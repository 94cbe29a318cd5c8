"""What a command tells while it runs: lines for people, or one JSON object a line on standard error for machines."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scar.cli.screen import visible

FLAG = "--log-json"


class _Json(logging.Formatter):
    """Writes a record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give level, message and what was logged beside it."""
        fields: dict[str, Any] = {"level": record.levelname.lower(), "message": record.getMessage()}
        fields |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        # ASCII: a lone surrogate cannot be written, and some characters act on a terminal.
        return json.dumps(fields, default=str)


class _Line(logging.Formatter):
    """Writes a record's message as it can be shown."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the message."""
        return visible(super().format(record))


_as_json = False


def set_up(*, as_json: bool) -> None:
    """Send our log to standard error."""
    global _as_json
    _as_json = as_json
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Line("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=as_json)
    logging.getLogger("scar").setLevel(logging.INFO)
    logging.captureWarnings(as_json)


def for_machines() -> bool:
    """Tell whether `--log-json` was given."""
    return _as_json


def event(name: str, fields: Mapping[str, Any]) -> None:
    """Tell machines what happened; people are shown it otherwise."""
    if _as_json:
        logging.getLogger("scar").info(name, extra={"fields": {"event": name, **fields}})


def failed(code: int, message: str) -> int:
    """Tell why the command fails: one line. Gives the exit code."""
    line = " ".join(message.split())
    if _as_json:
        logging.getLogger("scar").error(line, extra={"fields": {"exit": code}})
    else:
        _tell(f"scar: error: {visible(line)}\n")
    return code


def _tell(text: str) -> None:
    # Where standard error takes nothing, the exit code still says it.
    with suppress(OSError):
        sys.stderr.write(text)


def crashed() -> int:
    """Tell of an error of ours, with its traceback. Gives the exit code."""
    if _as_json:
        logging.getLogger("scar").error("a defect of scar-rank", exc_info=True, extra={"fields": {"exit": 1}})
    else:
        _tell(visible(traceback.format_exc()))
    return 1

"""The command line: `scar COMMAND ...`. One file a group of commands; a command imports what it needs when it runs."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module

import scar
from scar.cli import logs, streams
from scar.cli.screen import shown
from scar.cli.signals import Stopped, stopping
from scar.errors import GateError, InputError, RunError

COMMANDS = {
    "train style": ("scar.cli.train_style", "style", "train a style ranker on rows with responses by tier"),
    "train quality": (
        "scar.cli.train_quality",
        "quality",
        "train a quality classifier on labels, grades or preferences",
    ),
    "train unseen": (
        "scar.cli.train_unseen",
        "unseen",
        "tell candidates from the rows you have, in folds; score how new each is",
    ),
    "export": ("scar.cli.export", "export", "write a bundle's ONNX graphs, each behind its gate"),
    "gate": ("scar.cli.gate", "gate", "which engines and precisions of this machine give a bundle's scores"),
    "import": (
        "scar.cli.import_",
        "import_",
        "turn a published checkpoint, of SCAR or a classifier, into a bundle",
    ),
    "calibrate": (
        "scar.cli.calibrate",
        "calibrate",
        "say what scores mean: probabilities by labelled rows, percentiles by a reference pool",
    ),
    "eval": (
        "scar.cli.evaluate",
        "evaluate",
        "how well a bundle orders a file of tiers, labels, grades or preferences, beside baselines",
    ),
    "inspect": (
        "scar.cli.inspect",
        "inspect",
        "what a pool was taken for, and what the model will see of it",
    ),
    "score": (
        "scar.cli.score",
        "score",
        "score every row of a pool into a run folder; go on where it was stopped",
    ),
    "plan": ("scar.cli.runs", "plan", "cut a pool into chunks for `scar score --shard i/n` on many machines"),
    "gather": ("scar.cli.runs", "gather", "end a run whose shards are scored"),
    "status": ("scar.cli.runs", "status", "how far a run is, and who works on it"),
    "verify": (
        "scar.cli.runs",
        "verify",
        "check every checksum and count of a run or bundle; make anew what is damaged",
    ),
    "select": ("scar.cli.select", "select", "keep rows of a scored pool by a rule"),
    "report": ("scar.cli.report", "report", "show a run, or what was kept of it, on one page"),
    "filter": ("scar.cli.select", "filter_", "score a pool and keep its best rows, in one step"),
    "why": ("scar.cli.why", "why", "why a row was kept or dropped, and for whom"),
    "doctor": (
        "scar.cli.doctor",
        "doctor",
        "what this machine has to score with, and what auto would choose",
    ),
    "bench": (
        "scar.cli.bench",
        "bench",
        "how fast a bundle scores here, by every engine and graph, beside the peers",
    ),
    "tiers ask": ("scar.cli.tiers", "ask", "write what a language model is asked about human answers"),
    "tiers run": ("scar.cli.tiers", "run", "send those requests to an OpenAI-compatible endpoint"),
    "tiers join": ("scar.cli.tiers", "join", "build a tiers file out of human answers and the replies"),
}


# A wrong path of the user's, as the system calls it; any other OSError, such as a full disk, is not their input.
PATHS = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
NO_PLACES = (errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 the input is wrong (one line says how), 1 our fault or an unmet gate."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    streams.set_up()
    logs.set_up(as_json=logs.FLAG in given)
    try:
        with shown(sys.stdout):
            return _main([word for word in given if word != logs.FLAG])
    finally:
        streams.drop(sys.stdout)
        streams.drop(sys.stderr)


def _main(given: Sequence[str]) -> int:
    if strange := _not_utf8(given):
        return logs.failed(2, strange)
    if not given or given[0] in ("-h", "--help", "help"):
        return _run("help", lambda: print(_usage()))
    if given[0] == "--version":
        return _run("version", lambda: print(f"scar-rank {scar.__version__}"))
    name = next((name for name in COMMANDS if given[: len(name.split())] == name.split()), None)
    if name is None:
        return logs.failed(2, f"no command {' '.join(given[:2])!r}; `scar --help` lists them")
    module, function, _ = COMMANDS[name]
    return _run(name, lambda: getattr(import_module(module), function)(given[len(name.split()) :]))


def _not_utf8(given: Sequence[str]) -> str | None:
    """Say which word, or the working folder, is none that JSON and the engines could hold; None where all are."""
    try:
        words = [*given, os.getcwd()]
    except FileNotFoundError:
        return "the working folder is gone: cd to one that is there"
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            return f"{os.fsencode(word)!r}: not UTF-8: rename it, or take a locale of UTF-8 (LC_ALL=C.UTF-8)"
    return None


def _run(name: str, work: Callable[[], None]) -> int:
    """Do a command's work and turn the errors that are meant for the user into one line."""
    try:
        # Lightning ends a training by itself.
        with nullcontext() if name.startswith("train") else stopping(lambda stop: _stopped(name, stop)):
            work()
            sys.stdout.flush()
    except InputError as error:
        return logs.failed(2, str(error))
    except BrokenPipeError as error:
        # `scar ... | head`: there is nobody to tell anything.
        if not streams.broken(sys.stdout):
            return logs.failed(1, str(error))
    except OSError as error:
        return _failed_by_system(name, error)
    except (GateError, RunError) as error:
        return logs.failed(1, str(error))
    except KeyboardInterrupt as stop:
        return _stopped(name, stop)
    except Exception as error:
        return logs.failed(1, _too_little(name)) if _out_of_room(error) else logs.crashed()
    return 0


def _out_of_room(error: Exception) -> bool:
    """Tell whether the machine had no memory, or no thread, for it: nobody's fault."""
    return isinstance(error, MemoryError) or str(error) == "can't start new thread"


def _too_little(name: str) -> str:
    again = ": with more of it the same command goes on" if name in RESUMED else ""
    return f"memory ran out, or what this process may take of it or of threads (`ulimit -a`){again}"


def _failed_by_system(name: str, error: OSError) -> int:
    """Tell what the system refused: the user's paths, or what is nobody's fault."""
    where = f"{error.filename}: " if error.filename else ""
    if isinstance(error, PATHS) or error.errno in NO_PLACES:
        return logs.failed(2, f"{where}{error.strerror or error}")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        again = ": free some, and the same command goes on" if name in RESUMED else ""
        return logs.failed(1, f"{where}{error.strerror}{again}")
    return logs.failed(1, str(error))


def _stopped(name: str, stop: KeyboardInterrupt) -> int:
    """Tell that somebody stopped a command."""
    if not isinstance(stop, Stopped):
        return logs.failed(130, "interrupted")
    again = "; the same command goes on" if name in RESUMED else ""
    return logs.failed(stop.exit_code, f"stopped by {stop}{again}")


RESUMED = ("score", "plan", "gather", "filter", "verify")
"""Commands that go on where they were stopped."""


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, _, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: scar COMMAND [options]",
            "",
            "Rankers for instruction-tuning data: train, export, score, keep the best.",
            "",
            "commands:",
            *lines,
            "",
            "`scar COMMAND --help` lists the options of one; --log-json logs JSON lines on standard error, with any.",
        ]
    )

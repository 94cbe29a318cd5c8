"""Find the public docstrings of the running interpreter's standard library."""

import contextlib
import importlib
import inspect
import io
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

# Importing these opens a browser, prints a poem, starts a shell or a window, or is no library.
SKIPPED = {
    "antigravity",
    "this",
    "idlelib",
    "turtledemo",
    "turtle",
    "tkinter",
    "lib2to3",
    "test",
    "ensurepip",
    "msilib",
}
SUBMODULES = (
    "asyncio.queues",
    "collections.abc",
    "concurrent.futures",
    "email.message",
    "email.policy",
    "email.utils",
    "html.parser",
    "http.client",
    "http.cookies",
    "http.server",
    "importlib.metadata",
    "importlib.resources",
    "importlib.util",
    "json.decoder",
    "json.encoder",
    "logging.config",
    "logging.handlers",
    "multiprocessing.pool",
    "multiprocessing.shared_memory",
    "os.path",
    "unittest.mock",
    "urllib.parse",
    "urllib.request",
    "urllib.robotparser",
    "wsgiref.headers",
    "wsgiref.util",
    "xml.dom.minidom",
    "xml.etree.ElementTree",
    "xml.sax.saxutils",
)
FEWEST_WORDS = 9


def docstring(name: str) -> str | None:
    """Give the docstring of a dotted name, None where the interpreter has none."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        module = _module(".".join(parts[:cut]))
        if module is None:
            continue
        thing: object = module
        for part in parts[cut:]:
            thing = (
                inspect.getattr_static(thing, part, None)
                if inspect.isclass(thing)
                else getattr(thing, part, None)
            )
        return _text(thing)
    return None


def public_docstrings() -> Iterator[tuple[str, str]]:
    """Yield (dotted name, docstring) for every public function, class and method; each text once."""
    seen: set[str] = set()
    names = [name for name in sys.stdlib_module_names if not name.startswith("_") and name not in SKIPPED]
    for module in filter(None, map(_module, sorted([*names, *SUBMODULES]))):
        for name, thing in _public(module):
            text = _text(thing)
            if text and len(text.split()) >= FEWEST_WORDS and text not in seen:
                seen.add(text)
                yield name, text


def _module(name: str) -> ModuleType | None:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except (
            ImportError,
            OSError,
            AttributeError,
            RuntimeError,
        ):  # not on this platform, or not without a screen
            return None


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    listed = getattr(module, "__all__", None)
    for name in listed or sorted(name for name in vars(module) if not name.startswith("_")):
        thing = getattr(module, name, None)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if not listed and getattr(thing, "__module__", None) != module.__name__:
            continue
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing):
            for inner, member in sorted(vars(thing).items()):
                if not inner.startswith("_"):
                    yield f"{module.__name__}.{name}.{inner}", member


def _text(thing: object) -> str | None:
    """Give the thing's own docstring, cleaned; not one that a class inherits."""
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    if not (inspect.isclass(thing) or inspect.isroutine(thing) or isinstance(thing, property)):
        return None
    text = thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return inspect.cleandoc(text).strip() if isinstance(text, str) else None

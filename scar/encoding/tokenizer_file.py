"""Look into a tokenizer.json before the library reads it: what would take all time or memory is refused.

The limits are far above those of any published tokenizer of an encoder. The library itself ends the process where
memory runs out, and knows no time.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tokenizers import Tokenizer

from scar.errors import InputError

MOST_BYTES = 128 << 20
MOST_ADDED, LONGEST_ADDED = 100_000, 1_000
"""Tokens outside of the vocabulary, and characters of one."""
LARGEST_ID = 1 << 24
LONGEST_WORD = 1_000
"""Characters of a word that WordPiece looks at: it tries all its parts."""
LONGEST_PIECE = 64
"""Characters of a piece of Unigram: it tries all pieces at every character."""
LONGEST_TEXT, LONGEST_PATTERN, LARGEST_MAP = 100, 1_000, 4 << 20
"""Characters of a text that is put in, of a regular expression, and of SentencePiece's table of replacements."""
LONGEST_REPLACEMENT = 128
"""Bytes that such a table puts in the place of a character."""
MOST_GROWTH = 16
"""How many times as long the normalizer may make a text, all its replacements together."""
MOST_PARTS = 1_000
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
REPEATED = re.compile(r"\*|\+|\{\d*,\}")
"""A quantifier without an end."""


PROBES = tuple(character * 20_000 + "!" for character in ("a", "x", "ab", "0", " ", "\n", "-", "é"))
PROBE_SECONDS = 10.0


def open_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json. Raises InputError naming what is wrong with it."""
    told = check_tokenizer(path)
    # The library sees what was checked, and no cut and padding of its own, which never hold.
    text = json.dumps(told | {"truncation": None, "padding": None}, ensure_ascii=False)
    with no_panic(str(path)):
        tokenizer = Tokenizer.from_str(text)
    if any(name == "Regex" for part in PARTS for name, _ in _leaves(told.get(part))):
        _refuse_slow(tokenizer, path)
    return tokenizer


@contextmanager
def no_panic(where: str) -> Iterator[None]:
    """Turn the errors of the library into InputErrors: they are plain Exceptions, and panics, which are none."""
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{where}: the tokenizer fails: {' '.join(str(error).split())[:200]}") from None


def _refuse_slow(tokenizer: Tokenizer, path: Path) -> None:
    """Raise InputError where regular expressions take more than seconds for texts on which bad ones take for ever."""
    thread = Thread(target=tokenizer.encode_batch_fast, args=(PROBES,), daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if thread.is_alive():
        raise InputError(
            f"{path}: refused: its regular expressions take more than {PROBE_SECONDS:g} s for a text"
        )


def check_tokenizer(path: Path) -> dict[str, Any]:
    """Read what a tokenizer.json says. Raises InputError for what no tokenizer of an encoder needs."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        told = json.loads(path.read_bytes())
        if not isinstance(told, dict) or not isinstance(told.get("model"), dict):
            raise ValueError("it describes no model")
        _check_added(told.get("added_tokens") or [])
        _check_model(told["model"])
        for name in PARTS:
            _check_part(told.get(name))
        _check_templates(told.get("post_processor"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: refused: {error or type(error).__name__}") from None
    return told


def _check_added(tokens: list[Mapping[str, Any]]) -> None:
    if len(tokens) > MOST_ADDED:
        raise ValueError(f"{len(tokens):,} added tokens, more than {MOST_ADDED:,}")
    for token in tokens:
        if not 0 <= token["id"] < LARGEST_ID:
            raise ValueError(f"the id {token['id']!r} of an added token")
        if len(token["content"]) > LONGEST_ADDED:
            raise ValueError(f"an added token of {len(token['content']):,} characters")


def _check_model(model: Mapping[str, Any]) -> None:
    if model.get("dropout"):
        raise ValueError(f"dropout {model['dropout']!r}: it would give other tokens every time")
    if (most := model.get("max_input_chars_per_word") or 0) > LONGEST_WORD:
        raise ValueError(f"max_input_chars_per_word {most:,}, more than {LONGEST_WORD:,}")
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        if any(len(piece) > LONGEST_PIECE for piece, _ in vocabulary):
            raise ValueError(f"a piece of more than {LONGEST_PIECE} characters")
    elif any(not 0 <= number < LARGEST_ID for number in vocabulary.values()):
        raise ValueError("an id of the vocabulary is out of range")


def _check_part(part: Any) -> None:
    """Check what stands before and after the model: how long its texts are, how much they make of a character."""
    leaves, growth = list(_leaves(part)), 1
    if len(leaves) > MOST_PARTS:
        raise ValueError(f"a normalizer or processor of more than {MOST_PARTS:,} parts")
    for name, text in leaves:
        if name == "precompiled_charsmap":
            _check_map(text)
        elif name == "Regex":
            _check_pattern(text)
        elif isinstance(text, str) and len(text) > LONGEST_TEXT:
            raise ValueError(f"{name} of {len(text):,} characters")
        if name in ("content", "prepend") and isinstance(text, str):
            growth *= max(1, len(text))
    if growth > MOST_GROWTH:
        raise ValueError(f"replacements that make a text up to {growth:,} times as long")


def _check_templates(processor: Any) -> None:
    """Check that each text stands in a template once: it is repeated where it stands twice, at whatever length."""
    if not isinstance(processor, Mapping):
        return
    for part in processor.get("processors", []):
        _check_templates(part)
    for name, most in (("single", 1), ("pair", 2)):
        texts = [item for item in processor.get(name) or [] if "Sequence" in item]
        if len(texts) > most:
            raise ValueError(f"a template that repeats its texts: {len(texts)} in {name!r}")


def _leaves(part: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that holds no others, under the name that it stands by."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield from _leaves(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from _leaves(value, name)
    else:
        yield name, part


def _check_map(packed: str) -> None:
    """Check SentencePiece's table: the size of its index, the index, and texts that end with NUL."""
    if len(packed) > LARGEST_MAP:
        raise ValueError(f"precompiled_charsmap of {len(packed):,} characters")
    table = base64.b64decode(packed, validate=True)
    size = int.from_bytes(table[:4], "little")
    if len(table) < 4 or size > len(table) - 4 or size % 4:
        raise ValueError("precompiled_charsmap is damaged")
    if max(map(len, table[4 + size :].split(b"\0"))) > LONGEST_REPLACEMENT:
        raise ValueError(f"precompiled_charsmap puts in texts of more than {LONGEST_REPLACEMENT} bytes")


def _check_pattern(pattern: str) -> None:
    """Refuse a repetition inside of a repetition, and what was matched before: their time can grow without end."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a regular expression of {len(pattern):,} characters")
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "c", pattern, flags=re.DOTALL)
    if re.search(r"\\(?:[1-9]|k|g)", pattern.replace("\\\\", "")):
        raise ValueError(f"the regular expression {pattern[:60]!r} repeats what it matched before")
    inside = [False]
    for at, character in enumerate(plain):
        if character == "(":
            inside.append(False)
        elif character == ")" and len(inside) > 1:
            repeats = inside.pop()
            inside[-1] |= repeats
            if repeats and REPEATED.match(plain, at + 1):
                raise ValueError(f"the regular expression {pattern[:60]!r} repeats a repetition")
        elif REPEATED.match(plain, at):
            inside[-1] = True

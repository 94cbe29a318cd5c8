"""Tokenizers from strangers: each reads a text within seconds and little memory, or is refused with a word."""

import base64
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from scar.bundle import TOKENIZER, Bundle, seal
from scar.cli import main
from scar.encoding import TextEncoder, TextSettings
from scar.encoding.tokenizer_file import MOST_BYTES, check_tokenizer, open_tokenizer
from scar.errors import InputError
from tests.make import pool_rows, tier_rows, write_jsonl

SECONDS, GIGABYTES = 30, 3
PUBLISHED = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama 3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "deepseek": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}]+",
    "clip": r"<\|startoftext\|>|<\|endoftext\|>|'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    "spaces": " {2,}",
}
"""Regular expressions of well-known tokenizers."""


@pytest.fixture(scope="module")
def plain(bundle):
    return json.loads((bundle / TOKENIZER).read_bytes())


def written(folder, told):
    path = folder / TOKENIZER
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return path


def split(pattern):
    return {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": pattern},
            "behavior": "Isolated",
            "invert": False,
        }
    }


def replace(what, content, times=1):
    one = {"type": "Replace", "pattern": {"String": what}, "content": content}
    return {"normalizer": {"type": "Sequence", "normalizers": [one] * times}}


def added(content, number=1_000):
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized", "special"], False)
    return {"id": number, "content": content, **flags}


def template(single, ids):
    return {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": ids, "tokens": ["[CLS]"] * len(ids)}},
        }
    }


A, CLS = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[CLS]", "type_id": 0}}


def charsmap(index, texts=b"a\0"):
    packed = struct.pack(f"<I{len(index)}I", 4 * len(index), *index) + texts
    return {"normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(packed).decode()}}


def unigram(pieces):
    return {
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["u", 0.0], *([piece, -1.0] for piece in pieces)]}
    }


def bpe(**more):
    vocabulary = {"a": 0, "aa": 1, "aaaa": 2}
    model = {"type": "BPE", "vocab": vocabulary, "merges": ["a a", "aa aa"], **more}
    return {"model": model, "pre_tokenizer": None, "post_processor": None}


def word_piece(plain, **more):
    return {"model": plain["model"] | more}


BOMBS = {
    "nested repetition": split("(a+)+$"),
    "two repetitions": split("(x+x+)+y"),
    "repetition of a choice of repetitions": split("(?:a|b*)*c"),
    "counted repetition": split("(a+){10,}$"),
    "back reference": split(r"(a*)\1b"),
    "long pattern": split("a?" * 10_000 + "a" * 10_000),
    "pattern of a normalizer": {
        "normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+b"}, "content": ""}
    },
    "text that grows": replace("a", "aa", 40),
    "long replacement": replace("a", "x" * 100_000_000),
    "long prefix": {"normalizer": {"type": "Prepend", "prepend": "x" * 100_000_000}},
    "long added token": {"added_tokens": [added("x" * (1 << 26))]},
    "many added tokens": {"added_tokens": [added(f"t{n}", 1_000 + n) for n in range(300_000)]},
    "a million special tokens": template([CLS, A], [2] * 1_000_000),
    "many special tokens": template([CLS] * 300 + [A], [2] * 100),
    "the text many times": template([A] * 400, [2]),
    "broken table": charsmap([0xFFFFFFFF, 0xFFFFFFFF]),
    "table of a large size": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff" * 4).decode()}
    },
    "table of long texts": charsmap([0, 0], b"a" * 100_000 + b"\0"),
    "no table": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "%%%"}},
    "long pieces": unigram("a" * n for n in range(1, 3_000)),
    "no unknown piece": {"model": {"type": "Unigram", "unk_id": 99, "vocab": [["u", 0.0]]}},
    "chance": bpe(dropout=0.5),
    "large id": {"model": {"type": "WordLevel", "vocab": {"a": 4_000_000_000}, "unk_token": "a"}},
    "negative id": {"model": {"type": "WordLevel", "vocab": {"a": -1}, "unk_token": "a"}},
    "no unknown word": {"model": {"type": "WordLevel", "vocab": {"b": 1}, "unk_token": "zzz"}},
    "no model": {"model": None},
    "unknown part": {"normalizer": {"type": "Shell", "command": "touch ran"}},
    "wrong type": {"added_tokens": 7},
    "wrong types": {"model": {"type": "WordLevel", "vocab": {"a": "b"}}},
}
CHILD = """
import resource, sys
from pathlib import Path
from scar.encoding import TextEncoder
from scar.errors import InputError
resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))
try:
    encoder = TextEncoder.from_file(Path(sys.argv[1]), 0)
    texts = [what * (250 * 512 // len(what)) for what in ("a", "a b ", "x", " ", "1!")]
    print("read", sum(encoder.encode(texts, 512).lengths))
except InputError as error:
    print("refused", error)
"""


def in_child(path):
    """Load a tokenizer and read long texts with it, in a process of little time and memory."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(bytes=GIGABYTES << 30), str(path)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_and_does_not_go_off(bomb, plain, tmp_path):
    assert in_child(written(tmp_path, plain | BOMBS[bomb])).startswith("refused")


def test_a_word_of_a_billion_characters_is_refused(plain, tmp_path):
    path = written(tmp_path, plain | word_piece(plain, max_input_chars_per_word=10**9))
    assert "max_input_chars_per_word 1,000,000,000" in in_child(path)


@pytest.mark.parametrize("pattern", ["(a|a|aa)*b", "(?:x|xx|xxx)*y", "a*a*a*a*a*b"])
def test_a_pattern_that_only_time_shows_to_be_bad_ends_within_seconds(pattern, plain, tmp_path):
    assert in_child(written(tmp_path, plain | split(pattern)))


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "nul", "\ufeff{}", '{"model": {"vocab": {}}}', "[" * 200_000, '{"a":' * 9_999]
)
def test_what_is_no_tokenizer_is_refused(text, tmp_path):
    with pytest.raises(InputError, match=f"{TOKENIZER}: "):
        open_tokenizer(written(tmp_path, text))


def test_a_deep_sequence_is_refused(plain, tmp_path):
    made = {"type": "Lowercase"}
    for _ in range(300):
        made = {"type": "Sequence", "normalizers": [made]}
    with pytest.raises(InputError):
        open_tokenizer(written(tmp_path, plain | {"normalizer": made}))


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / TOKENIZER
    with open(path, "wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="larger than"):
        open_tokenizer(path)


def test_a_cut_and_a_padding_of_its_own_do_not_hold(plain, bundle, tmp_path):
    """Padding to a billion is never made, nor a text cut to nothing."""
    padding = plain["padding"] | {"strategy": {"Fixed": 10**9}}
    cut = plain["truncation"] | {"max_length": 0, "stride": 10**9}
    path = written(tmp_path, plain | {"padding": padding, "truncation": cut})
    texts = ["the name of a list", "a"]
    mine, known = (TextEncoder.from_file(each, 0) for each in (path, bundle / TOKENIZER))
    assert mine.encode(texts, 32).ids.tolist() == known.encode(texts, 32).ids.tolist()
    assert mine.identity == known.identity


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_patterns_of_published_tokenizers_pass(name, plain, tmp_path):
    open_tokenizer(written(tmp_path, plain | split(PUBLISHED[name])))


@pytest.mark.parametrize(
    "more",
    [
        replace("``", '"', 12),
        {"normalizer": {"type": "Prepend", "prepend": "▁"}},
        charsmap([0] * 256),
        unigram(["a", "b" * 16]),
        bpe(),
        {"added_tokens": [added("x" * 200)]},
    ],
)
def test_what_published_tokenizers_do_passes(more, plain, tmp_path):
    check_tokenizer(written(tmp_path, plain | more))


@pytest.mark.parametrize("limit", [1 << 40, 0, -1, "512", 1.5, None])
def test_a_ranker_must_say_a_possible_number_of_tokens(limit):
    with pytest.raises(InputError, match="max_tokens"):
        TextSettings(0, limit)


def test_a_bundle_is_verified_before_its_tokenizer_is_read(bundle, tmp_path, capsys):
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    told = json.loads((copy / TOKENIZER).read_bytes()) | BOMBS["long added token"]
    (copy / TOKENIZER).write_text(json.dumps(told))
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(3))
    words = ["score", str(pool), "--ranker", str(copy), "--out", str(tmp_path / "run")]
    with pytest.raises(InputError, match="altered since the bundle was written"):
        Bundle.open(copy)
    assert main(words) == 2 and "altered since" in capsys.readouterr().err
    seal(copy)
    assert main(words) == 2 and "an added token of 67,108,864 characters" in capsys.readouterr().err


def test_training_and_import_look_at_the_tokenizer_too(encoder, tmp_path, capsys):
    copy = Path(shutil.copytree(encoder, tmp_path / "encoder"))
    told = json.loads((copy / TOKENIZER).read_bytes()) | BOMBS["text that grows"]
    written(copy, told)
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(8))
    words = [
        "train",
        "style",
        "--data",
        data,
        "--encoder",
        copy,
        "--out",
        tmp_path / "out",
        "--max_tokens",
        32,
    ]
    assert main([str(word) for word in words]) == 2
    assert "replacements that make a text" in capsys.readouterr().err

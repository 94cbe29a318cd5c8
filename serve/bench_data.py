"""Make large pools and embeddings with known answers out of real rows, for benchmarks of selection.

    python serve/bench_data.py POOL --out FOLDER [--rows 1000000] [--embeddings FILE.npy] [--only pool|embeddings]

FOLDER/pool.jsonl: rows of sentences drawn from POOL's rows of one source; 10 % are near copies of another row, with 1
to 5 % of its words changed (at least one), and 2 % are exact copies; no row is copied twice. `kind` says which a row
is, `copy_of` is the number of the row that it was copied from, `changed` the share of words that were asked to change.

FOLDER/embeddings.npy: float16, rows of length 1: distinct rows, 50 copies each, with Gaussian noise of 0.2 sigma, where
sigma is the standard deviation of all entries of the distinct rows. `embeddings_of.npy` has the number of the distinct
row of each. The distinct rows are those of --embeddings, shape (n, d), or MiniLM's of 20,000 of POOL's rows, which stay
in FOLDER/distinct.npy.

The same POOL, rows and seed give the same bytes. Nothing of it is to be shipped: it is what the pool's rows are.
"""

import argparse
import json
import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from scar.pools import find, read_pool, rows_of
from scar.records import Record, SetAside
from scar.runs import Embeddings
from scar.selection.scored import Scored

NEAR, EXACT = 0.10, 0.02
CHANGED = (0.01, 0.05)
COPIES, NOISE = 50, 0.2
LONGEST, LEAST = 40, 40
"""Words of the longest sentence that is used, and of the shortest response that is made: rows differ unless copied."""
ENOUGH = 500
"""Sentences that a source needs, where any has so many."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_PIECE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+|\s+")


def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path, help="plain rows with a source")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--embeddings", type=Path, help="distinct embeddings, (n, d)")
    parser.add_argument("--distinct", type=int, default=20_000, help="rows that MiniLM embeds")
    parser.add_argument("--only", choices=["pool", "embeddings"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.only != "embeddings":
        write_pool(arguments.pool, arguments.out / "pool.jsonl", arguments.rows, arguments.seed)
    if arguments.only != "pool":
        given = arguments.embeddings or embed(
            arguments.pool, arguments.out / "distinct.npy", arguments.distinct
        )
        write_embeddings(np.load(given), arguments.out, arguments.rows, arguments.seed)


def scored(
    pool: Path, rows: int, *, embeddings: Path | None = None, seed: int = 0, column: str | None = None
) -> Scored:
    """Give a pool's rows with scores that are drawn, and its embeddings where there are any: what a rule selects from.

    `column` names one of the pool that is wanted beside the scores.
    """
    drawn = np.random.default_rng(seed).standard_normal(rows, dtype=np.float32)
    more: dict[str, Any] = {} if column is None else {column: [row.get(column) for row in dicts(pool)]}
    made = replace(Scored.of_columns(style=drawn, **more), read=partial(records, pool))
    if embeddings is None:
        return made
    return replace(made, embed=partial(Embeddings.of_array, np.load(embeddings, mmap_mode="r")))


def records(pool: Path) -> Iterator[Record]:
    """Read a pool's records."""
    return (item for item in read_pool(pool) if isinstance(item, Record))


def dicts(pool: Path) -> Iterator[dict[str, Any]]:
    """Read a pool's rows as they are."""
    for row in rows_of(find(pool)):
        fields = row.decode()
        if not isinstance(fields, SetAside):
            yield dict(fields)


@dataclass
class Source:
    """What rows of one source are made of."""

    name: str
    asked: list[str] = field(default_factory=list)
    """Sentences of instructions."""
    sentences: list[str] = field(default_factory=list)
    """Sentences of responses."""
    lengths: list[int] = field(default_factory=list)
    """Words of each response."""


@dataclass(frozen=True)
class Rows:
    """Rows that are made of a pool's sentences; each follows from the seed and its number alone."""

    sources: list[Source]
    shares: list[float]
    """Sum of the sources' shares of rows up to each."""
    seed: int

    @classmethod
    def of(cls, pool: Path, seed: int) -> "Rows":
        """Read the sentences of a pool."""
        sources: dict[str, Source] = {}
        for row in dicts(pool):
            name = str(row.get("source"))
            source = sources.setdefault(name, Source(name))
            source.asked += short_sentences(str(row["instruction"]))
            source.sentences += short_sentences(str(row["response"]))
            source.lengths.append(count_words(str(row["response"])))
        for source in sources.values():
            source.asked, source.sentences = (
                list(dict.fromkeys(each)) for each in (source.asked, source.sentences)
            )
        # Where there are few sentences the rows made of them would be near copies that nobody knows of.
        every = [source for source in sources.values() if source.asked and source.sentences]
        enough = [source for source in every if len(source.sentences) >= ENOUGH] or every
        sizes = np.cumsum([len(source.lengths) for source in enough])
        return cls(enough, (sizes / sizes[-1]).tolist(), seed)

    def original(self, number: int) -> tuple[Source, str, str, Random]:
        """Make a row: its source, instruction and response, and what goes on drawing."""
        draw = Random(f"{self.seed} {number}")
        source = self.sources[bisect(self.shares, draw.random())]
        wanted, words = max(LEAST, draw.choice(source.lengths)), 0
        chosen: list[str] = []
        for place in draw.sample(range(len(source.sentences)), min(200, len(source.sentences))):
            chosen.append(source.sentences[place])
            words += count_words(chosen[-1])
            if words >= wanted:
                break
        return source, draw.choice(source.asked), " ".join(chosen), draw

    def near(self, number: int) -> tuple[Source, str, str, float]:
        """Make a near copy of a row, and say what share of its words was asked to change."""
        source, instruction, response, draw = self.original(number)
        share = draw.uniform(*CHANGED)
        asked, answered = _PIECE.findall(instruction), _PIECE.findall(response)
        pieces = [*asked, "\0", *answered]
        places = [place for place, piece in enumerate(pieces) if piece.strip() and piece != "\0"]
        for place in draw.sample(places, max(1, round(share * len(places)))):
            pieces[place] = other_word(draw, source.sentences, pieces[place])
        instruction, response = "".join(pieces).split("\0")
        return source, instruction, response, share


def other_word(draw: Random, sentences: list[str], word: str) -> str:
    """Draw a word that is another one."""
    while True:
        other: str = draw.choice(_PIECE.findall(draw.choice(sentences)))
        if other.strip() and other.casefold() != word.casefold():
            return other


def short_sentences(text: str) -> list[str]:
    """Cut a text into sentences, and leave the long ones out."""
    cut = (each.strip() for each in _SENTENCE.split(text.replace("\0", " ")))
    return [each for each in cut if each and count_words(each) <= LONGEST]


def count_words(text: str) -> int:
    """Count words; a Chinese or Japanese character is one."""
    return len(text.split()) if text.isascii() else sum(not piece.isspace() for piece in _PIECE.findall(text))


def write_pool(pool: Path, out: Path, n: int, seed: int) -> None:
    """Write the rows; which are copies of which is drawn beforehand."""
    rows, place_of = Rows.of(pool, seed), np.random.default_rng(seed).permutation(n)
    near, exact = int(NEAR * n), int(EXACT * n)
    originals = n - near - exact
    with open(out, "w", encoding="utf-8") as file:
        # Rows of numbers from `originals` on are copies of the first ones.
        for line, number in enumerate(np.argsort(place_of).tolist()):
            made: dict[str, Any] = {"id": f"r{line}"}
            if 0 <= (copied := number - originals) < near:
                source, x, y, share = rows.near(copied)
                made |= {"instruction": x, "response": y, "source": source.name, "kind": "near"}
                made |= {"copy_of": int(place_of[copied]), "changed": round(share, 4)}
            else:
                source, x, y, _ = rows.original(number if copied < 0 else copied)
                made |= {"instruction": x, "response": y, "source": source.name}
                made |= {"kind": "original" if copied < 0 else "exact"}
                made |= {"copy_of": None if copied < 0 else int(place_of[copied]), "changed": 0.0}
            file.write(json.dumps(made, ensure_ascii=False) + "\n")


def write_embeddings(distinct: NDArray[Any], out: Path, n: int, seed: int) -> None:
    """Write the copies of distinct embeddings, normalised, a block at a time."""
    draw, sigma = np.random.default_rng(seed), float(distinct.std(dtype=np.float64))
    # The copies of a row lie apart.
    of = draw.permutation(np.arange(n) // COPIES % len(distinct)).astype(np.int32)
    np.save(out / "embeddings_of.npy", of)
    made = open_memmap(out / "embeddings.npy", mode="w+", dtype=np.float16, shape=(n, distinct.shape[1]))
    for start in range(0, n, 1 << 14):
        some = distinct[of[start : start + (1 << 14)]].astype(np.float32)
        some += draw.standard_normal(some.shape, dtype=np.float32) * np.float32(NOISE * sigma)
        made[start : start + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    made.flush()


def embed(pool: Path, out: Path, n: int) -> Path:
    """Embed the first distinct rows of a pool by MiniLM, 256 tokens each: the masked mean, of length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from scar.training.demo_encoder import NAME
    from scar.training.sources import find as find_encoder

    place = find_encoder(NAME).path
    tokenizer, model = AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()
    texts = (f"{row['instruction']}\n\n{row['response']}" for row in dicts(pool))
    chosen = list(islice(dict.fromkeys(texts), n))
    found = np.zeros((len(chosen), model.config.hidden_size), dtype=np.float32)
    order = sorted(range(len(chosen)), key=lambda number: -len(chosen[number]))
    for start in range(0, len(order), 32):
        some = order[start : start + 32]
        batch = tokenizer(
            [chosen[number] for number in some],
            padding=True,
            truncation=True,
            max_length=256,
            return_tensors="pt",
        )
        with torch.inference_mode():
            hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            found[some] = torch.nn.functional.normalize(mean).numpy()
    np.save(out, found)
    return out


if __name__ == "__main__":
    main()

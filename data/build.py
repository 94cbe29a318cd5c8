"""Build the embedded sample: tiers and a pool about the running interpreter's standard library.

    python data/build.py --out demo/data

The human tier is the docstring, read from the interpreter; the referenced and direct tiers stand in triples.jsonl.
Rows of one module share a split. The pool holds every public docstring but those of the training and validation names,
the direct answers of planted.jsonl, some exact and near copies, and a few dirty rows; pool_key.jsonl says which is
which. Everything is ordered and chosen by hashes: the same interpreter builds the same bytes.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from stdlib import docstring, public_docstrings  # noqa: E402 - a script beside its module

HERE = Path(__file__).parent
TEST_MODULES, VALIDATION_MODULES = 12, 7
EXACT_COPIES, NEAR_COPIES = 40, 40
QUESTIONS = (
    "What does `{name}` do and when would I use it?",
    "Explain `{name}` to a colleague who has not met it yet.",
    "I came across `{name}` in a code review. What is it for?",
    "How does `{name}` behave, and what should I know before relying on it?",
    "Can you describe `{name}` from Python's standard library?",
    "Give me a short explanation of `{name}`.",
    "Which problem does `{name}` solve?",
    "What should I expect when I call or use `{name}`?",
    "Help me understand `{name}`.",
    "Summarise what `{name}` is good for.",
    "Please document `{name}` for our team wiki.",
    "In Python, what is `{name}`?",
    "My linter suggests `{name}`. What would it do for me?",
    "Tell me how `{name}` works.",
    "What is the purpose of `{name}`, and how is it used?",
    "I keep forgetting what `{name}` does. Remind me?",
    "Describe the behaviour of `{name}`.",
    "Why does the standard library have `{name}`?",
    "A newcomer asks what `{name}` means in this script. What do I answer?",
    "What happens when Python code uses `{name}`?",
    "When is `{name}` the right tool?",
    "Write a brief note about `{name}` for someone learning Python.",
    "What are the essentials of `{name}`?",
    "Could you walk me through `{name}`?",
)
DIRTY = (
    b'{"id": "dirty-1", "instruction": "What does `len` do?", "response": "It retur',
    b'{"id": "dirty-2", "instruction": "What does `len` do?"}',
    b'{"id": "dirty-3", "instruction": "What does `len` do?", "response": ""}',
    b'{"id": "dirty-4", "instruction": null, "response": "It gives the number of items."}',
    b'{"id": "dirty-5", "instruction": "What does `len` do?", "response": 5}',
    b'["What does `len` do?", "It gives the number of items."]',
)

Row = dict[str, Any]


def main() -> None:
    """Build the sample into a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    build(parser.parse_args().out)


def build(out: Path) -> None:
    """Write the tiers of three splits, the pool and its key, and print what there is."""
    triples, planted = read(HERE / "triples.jsonl"), read(HERE / "planted.jsonl")
    humans = {row["name"]: docstring(row["name"]) for row in triples}
    missing = sorted(name for name, text in humans.items() if not text)
    sides = sides_of({row["name"] for row in triples})
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    for side in ("train", "validation", "test"):
        rows = [
            tier_row(row, text)
            for row in triples
            if sides[row["name"]] == side and (text := humans[row["name"]])
        ]
        write(out / f"tiers.{side}.jsonl", map(encode, rows))
        counts[side] = len(rows)
    hidden = {name for name, side in sides.items() if side != "test"}
    pool = pool_rows({row["name"]: row["instruction"] for row in [*triples, *planted]}, planted, hidden)
    write(out / "pool.jsonl", (line for _, _, line in pool))
    write(out / "pool_key.jsonl", (encode({"row": n, "kind": k}) for n, (_, k, _) in enumerate(pool)))
    kinds = Counter(kind for _, kind, _ in pool)
    print("tiers: " + ", ".join(f"{count} {side}" for side, count in counts.items()))
    print(f"skipped: {len(missing)} names that this interpreter lacks {' '.join(missing)}".rstrip())
    print(f"pool: {len(pool)} rows: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))


def read(path: Path) -> list[Row]:
    """Read one of our own JSON Lines files."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sides_of(names: Iterable[str]) -> dict[str, str]:
    """Give each name its split; a module is never divided."""
    names = list(names)
    modules = sorted({module(name) for name in names}, key=digest)
    side = {m: "test" for m in modules[:TEST_MODULES]}
    side |= {m: "validation" for m in modules[TEST_MODULES : TEST_MODULES + VALIDATION_MODULES]}
    return {name: side.get(module(name), "train") for name in names}


def tier_row(row: Row, human: str) -> Row:
    """Put one name's three tiers together."""
    responses = {"human": human, "referenced": row["referenced"], "direct": row["direct"]}
    return {
        "id": row["name"],
        "instruction": row["instruction"],
        "responses": responses,
        "source": module(row["name"]),
    }


def pool_rows(asked: Mapping[str, str], planted: list[Row], hidden: set[str]) -> list[tuple[str, str, bytes]]:
    """Give the pool as (order, kind, line), in the order of hashes."""
    found = {name: text for name, text in public_docstrings() if name not in hidden}
    # The same function under another name would bring a training docstring back.
    secret = {docstring(name) for name in hidden}
    found = {name: text for name, text in found.items() if text not in secret}
    rows = [pool_row(name, "docstring", text, asked) for name, text in found.items()]
    rows += [pool_row(row["name"], "planted", row["direct"], asked) for row in planted]
    chosen = sorted(found, key=lambda name: digest("copy " + name))
    exact, near = chosen[:EXACT_COPIES], chosen[EXACT_COPIES : EXACT_COPIES + NEAR_COPIES]
    rows += [pool_row(name, "exact copy", found[name], asked) for name in exact]
    rows += [pool_row(name, "near copy", vary(found[name]), asked) for name in near]
    rows += [(digest(line.decode()), "dirty", line) for line in DIRTY]
    return sorted(rows)


def pool_row(name: str, kind: str, response: str, asked: Mapping[str, str]) -> tuple[str, str, bytes]:
    """Make one row of the pool; its id tells nothing of its kind."""
    order = digest(f"{kind} {name}")
    row = {
        "id": order[:12],
        "instruction": asked.get(name) or question(name),
        "response": response,
        "source": module(name),
    }
    return order, kind, encode(row)


def question(name: str) -> str:
    """Ask about a name, in one of many ways."""
    return QUESTIONS[int(digest("question " + name), 16) % len(QUESTIONS)].format(name=name)


def vary(text: str) -> str:
    """Make a near copy: white space folded, and the longest word doubled once."""
    words = text.split()
    place = max(range(len(words)), key=lambda n: (len(words[n]), -n))
    return " ".join([*words[:place], words[place], *words[place:]])


def module(name: str) -> str:
    """Give the top-level module of a name."""
    return name.split(".")[0]


def digest(text: str) -> str:
    """Give a hash to order and choose by."""
    return hashlib.sha256(text.encode()).hexdigest()


def encode(row: Row) -> bytes:
    """Write a row as JSON."""
    return json.dumps(row, ensure_ascii=False).encode()


def write(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))


if __name__ == "__main__":
    main()

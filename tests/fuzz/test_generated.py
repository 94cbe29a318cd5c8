"""Generated pools of every layout and type: each row is read once, in order, and is a record or set aside."""

import gzip
import json
import random
import shutil
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scar.pools import RowReader, cut, find, rows_of
from scar.records import Record, SetAside
from scar.settings import Reading
from tests.files import write_as

JSON = ("jsonl", "jsonl.gz", "jsonl.zst", "json")
TABLES = ("csv", "parquet", "arrow", "stream.arrow")
TEXT = st.text(max_size=12) | st.sampled_from(
    ["", " \n", "\0", "a\u2028b", "\ufeff", '"},{"', 'a,b\n"c"', "x" * 3000, "\U0001f600\u200d"]
)
CLEAN = TEXT.filter(lambda text: "\r" not in text)
ANY = st.recursive(
    TEXT | st.none() | st.booleans() | st.integers() | st.floats() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def message(role, text):
    return {"role": role, "content": text}


LAYOUTS = {
    "plain": (lambda a, b, c: {"instruction": a, "response": b, "more": c}, 1),
    "alpaca": (lambda a, b, c: {"instruction": a, "input": c, "output": b}, 1),
    "prompt-completion": (lambda a, b, c: {"prompt": a, "completion": b, "id": c}, 1),
    "messages": (lambda a, b, c: {"messages": [message("user", a), message("assistant", b)], "id": c}, 1),
    "sharegpt": (
        lambda a, b, c: {
            "conversations": [{"from": "human", "value": a}, {"from": "gpt", "value": b}],
            "x": c,
        },
        1,
    ),
    "preference": (lambda a, b, c: {"prompt": a, "chosen": b, "rejected": c}, 2),
    "tiers": (lambda a, b, c: {"instruction": a, "responses": {"direct": b, "human": c}}, 2),
}
"""By name: a row of three values, and how many responses it has."""
FLAT = ("plain", "alpaca", "prompt-completion", "preference")
"""Those that a table of texts can have."""


def written(kind, folder, rows):
    """Write rows; in JSON with everything that it can say, in a table texts."""
    shutil.rmtree(folder, ignore_errors=True)
    if kind in TABLES:
        return write_as(kind, folder, rows)
    folder.mkdir(parents=True)
    lines = [json.dumps(row) for row in rows]
    data = (f"[{', '.join(lines)}]" if kind == "json" else "\n".join(lines)).encode()
    pack = {"gz": gzip.compress, "zst": lambda raw: pa.compress(raw, "zstd", asbytes=True)}.get(
        kind[6:], bytes
    )
    (folder / f"rows.{kind}").write_bytes(pack(data))
    return find(folder / f"rows.{kind}")


def check(kind, layout, folder, values, number, seed):
    """Compose rows of values, write them, read them; gives how many there were."""
    make, responses = LAYOUTS[layout]
    rng = random.Random(seed)
    rows = [make("Ask.", "Yes.", "No.")] + [
        make(*(rng.choice(values) for _ in range(3))) for _ in range(number)
    ]
    files = written(kind, folder, rows)
    facts, chunks = cut(files, 50)
    assert sum(fact.rows for fact in facts) == sum(chunk.rows for chunk in chunks) == len(rows)
    reader = RowReader(files, Reading(format=layout))
    seen = []
    for row in rows_of(files):
        items = reader.parse(row).items
        assert 1 <= len(items) <= responses and all(item.address == row.address for item in items)
        seen.append(row.address)
        for item in items:
            check_item(item, row.decode() if isinstance(item, Record) else None)
    assert [address.row for address in seen] == list(range(len(rows)))
    assert all(a.line < b.line for a, b in zip(seen, seen[1:], strict=False))
    return len(rows)


def check_item(item, fields):
    """A record's text is text that its row has; what is set aside says why."""
    if isinstance(item, SetAside):
        assert item.reason and item.detail
        return
    held = json.dumps(fields, ensure_ascii=False)
    for text in [item.response, *(turn.text for turn in item.turns)]:
        text.encode()
        assert text.strip()
        assert all(json.dumps(part, ensure_ascii=False)[1:-1] in held for part in text.split("\n\n"))


def run(tmp_path_factory, kind, layout, examples, number):
    counts = Counter()
    folder = tmp_path_factory.mktemp("made") / "pool"
    values = st.lists(ANY if kind in JSON else CLEAN | st.none(), min_size=4, max_size=12)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(values, st.integers(0, number), st.integers(0, 1 << 30))
    def each(values, rows, seed):
        counts["rows"] += check(kind, layout, folder, values, rows, seed)

    each()
    return counts["rows"]


PAIRS = [(kind, layout) for kind in JSON for layout in LAYOUTS] + [
    (kind, layout) for kind in TABLES for layout in FLAT
]


@pytest.mark.parametrize(("kind", "layout"), PAIRS[::5])
def test_generated_rows_are_accounted_for(kind, layout, tmp_path_factory):
    assert run(tmp_path_factory, kind, layout, 10, 20) > 10


@pytest.mark.slow
def test_a_hundred_thousand_generated_rows_are_accounted_for(tmp_path_factory):
    total = sum(run(tmp_path_factory, kind, layout, 60, 200) for kind, layout in PAIRS)
    assert total >= 100_000, total

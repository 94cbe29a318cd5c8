"""The table: rows of every layout in every type of file give the same records, found or forced."""

import collections
import json

import pyarrow.parquet as pq
import pytest

from scar.pools import RowReader, rows_of
from scar.records import Record
from scar.serving.run import score_pool
from scar.settings import Reading
from tests.files import KINDS, write_as
from tests.make import pool_rows, read_jsonl

TEXTS = [
    '你好，"世界"',
    "línea\nuno\n\ndos, tres",
    "مرحبا \u200f!",
    "emoji 👩‍🚀, tab\tand 'quotes'",
    "a,b;c\r\nd",
]


def said(*pairs, role="role", content="content"):
    return [{role: who, content: text} for who, text in pairs]


def made(name):
    """Three rows of a layout, of texts that a careless reader breaks."""
    q, a, b, system, more = TEXTS
    talk = [("user", q), ("assistant", a), ("user", more), ("assistant", b)]
    human = [({"user": "human", "assistant": "gpt"}[who], text) for who, text in talk]
    rows = {
        "plain": [{"instruction": q, "response": a}, {"instruction": more, "response": b}],
        "alpaca": [
            {"instruction": q, "input": "", "output": a},
            {"instruction": q, "input": more, "output": b},
        ],
        "sharegpt": [
            {"conversations": said(*human, role="from", content="value")},
            {"conversations": said(("system", system), *human, role="from", content="value")},
        ],
        "messages": [{"messages": said(("system", system), *talk)}, {"messages": said(*talk[:2])}],
        "prompt-completion": [{"prompt": q, "completion": a}, {"prompt": a, "completion": "[1, 2]"}],
        "preference": [
            {"prompt": q, "rejected": a, "chosen": b},
            {"prompt": a, "rejected": "{}", "chosen": more},
        ],
        "tiers": [{"instruction": q, "responses": {"human": a, "direct": b}}] * 2,
    }[name]
    return [{"id": f"№{number}", **row} for number, row in enumerate(rows)]


def expected(name, row):
    """What a row says, told anew: (part, turns, response) of each response."""
    if name in ("plain", "alpaca", "tiers"):
        asked = row["instruction"] + ("\n\n" + row["input"] if row.get("input") else "")
        answers = row.get("responses") or {None: row.get("response") or row.get("output")}
        return [(part, [("user", asked)], text) for part, text in answers.items()]
    if name == "prompt-completion":
        return [(None, [("user", row["prompt"])], row["completion"])]
    if name == "preference":
        return [
            (part, *compared(row.get("prompt"), row[part])) for part in row if part in ("chosen", "rejected")
        ]
    own = {"human": "user", "gpt": "assistant"}
    talk = [
        (own.get(m.get("from"), m.get("role") or m.get("from")), m.get("content") or m.get("value"))
        for m in row.get("messages") or row["conversations"]
    ]
    while talk[-1][0] != "assistant":
        talk.pop()
    return [(None, talk[:-1], talk[-1][1])]


def compared(prompt, answer):
    if isinstance(answer, list):
        talk = [(message["role"], message["content"]) for message in [*prompt, *answer]]
        return talk[:-1], talk[-1][1]
    if prompt is not None:
        return [("user", prompt)], answer
    asked, _, answer = answer.removeprefix("\n\nHuman: ").rpartition("\n\nAssistant: ")
    return [("user", asked)], answer


def check(name, kind, rows, folder):
    files = write_as(kind, folder, rows)
    for wanted in ("auto", name):
        reader = RowReader(files, Reading(format=wanted))
        assert {layout.name for layout in reader.layouts.values()} == {name}
        items = [reader.parse(row).items for row in rows_of(files)]
        assert all(isinstance(item, Record) for each in items for item in each), items
        read = [[(i.part, [tuple(turn) for turn in i.turns], i.response) for i in each] for each in items]
        assert read == [expected(name, row) for row in rows]
        assert [each[0].id for each in items] == [str(row["id"]) if "id" in row else None for row in rows]
        assert [each[0].address.row for each in items] == list(range(len(rows)))


LAYOUTS = ("plain", "alpaca", "sharegpt", "messages", "prompt-completion", "preference", "tiers")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_made_rows_are_the_same_records_in_every_file(name, kind, tmp_path):
    check(name, kind, made(name), tmp_path)


REAL = {
    "alpaca": "alpaca",
    "sharegpt": "sharegpt",
    "messages": "messages",
    "preference_text": "preference",
    "preference_messages": "preference",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", REAL)
def test_real_rows_are_the_same_records_in_every_file(file, kind, scar_data, tmp_path):
    check(REAL[file], kind, read_jsonl(scar_data / "formats" / f"{file}.jsonl"), tmp_path)


@pytest.mark.slow
def test_a_folder_of_every_type_of_file_is_one_pool(bundle, tmp_path):
    pool = tmp_path / "pool"
    for kind in KINDS[:-1]:
        name = LAYOUTS[KINDS.index(kind) % len(LAYOUTS)]
        write_as(kind, pool, made(name), stem=f"{KINDS.index(kind)}-{name}")
    (pool / "settings.json").write_text('{\n "a": 1\n}')
    report = score_pool(pool, bundle, tmp_path / "run")
    table = pq.read_table(tmp_path / "run" / "chunks").to_pylist()
    parts = [2 if LAYOUTS[n % 7] in ("preference", "tiers") else 1 for n in range(9)]
    assert (report.counts.rows, report.counts.records, report.counts.scored) == (
        18,
        2 * sum(parts),
        2 * sum(parts),
    )
    assert len({(row["row"], row["part"]) for row in table}) == len(table) == report.counts.records
    assert sorted({row["row"] for row in table}) == list(range(18))
    lines = collections.defaultdict(list)
    for row in table:
        if row["line"] not in lines[row["file"]]:
            lines[row["file"]].append(row["line"])
    assert list(lines) == sorted(lines)
    assert {name.split("/")[0].split(".")[0] for name in lines} == {f"{n}-{LAYOUTS[n % 7]}" for n in range(9)}
    # The first row of the csv has three line breaks inside a cell.
    assert {name: at for name, at in lines.items() if at != [1, 2]} == {"4-prompt-completion.csv": [2, 6]}


def test_forced_plain_rows_keep_their_ids_in_a_run(bundle, tmp_path):
    (file,) = write_as("json", tmp_path, pool_rows(3))
    score_pool(file.place, bundle, tmp_path / "run", reading=Reading(format="plain"))
    assert pq.read_table(tmp_path / "run" / "chunks")["id"].to_pylist() == ["p0", "p1", "p2"]
    assert json.loads((tmp_path / "run" / "plan.json").read_text())["files"][0]["rows"] == 3

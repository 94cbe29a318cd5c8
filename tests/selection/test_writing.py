"""What is kept is what was there: bytes of JSON Lines, values and types of tables, in every pair of types."""

import csv
import gzip
import json
import os
import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.errors import InputError
from scar.selection.keep import select
from scar.selection.output import Output
from scar.selection.rules import Above, TopK
from scar.serving.filter import filter_pool
from tests.files import csv_of, write_as
from tests.make import pool_rows, write_jsonl
from tests.selection.made import make_run

ALL = -1e9
ADDED = ["scar_rank", "scar_row", "scar_style"]


def kept(pool, n, out, *, least=ALL, scores=None, **output):
    """Score a pool by hand, keep rows of it in a folder of their own; give the file."""
    folder = Path(tempfile.mkdtemp(dir=pool.parent))
    run = make_run(folder / "run", pool, {"style": range(n) if scores is None else scores}, chunk_rows=1000)
    select(run, Above(least), folder / out, output=Output(**output))
    return folder / out


def unpacked(path):
    raw = path.read_bytes()
    if path.name.endswith(".gz"):
        return gzip.decompress(raw)
    return pa.CompressedInputStream(path, "zstd").read() if path.name.endswith(".zst") else raw


NUMBERS = st.integers() | st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**30])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ROW = st.dictionaries(st.text(max_size=4), JSON, max_size=4).map(
    lambda more: {**more, "instruction": "i", "response": "r"}
)


@st.composite
def line(draw):
    """Bytes of an object as people write them: any spacing, escapes or not, a key twice."""
    row = draw(ROW)
    text = json.dumps(
        row, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (" , ", ": ")]))
    )
    twice = draw(st.sampled_from(["", ', "response": "again"', ', "response" : "again"\t']))
    before, after = draw(st.sampled_from(["", " ", "\t"])), draw(st.sampled_from(["", " ", "\r"]))
    return (before + text[:-1] + twice + "}" + after).encode("utf-8", "surrogatepass").replace(b"\xed", b"?")


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.lists(line(), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["k.jsonl", "k.jsonl.gz", "k.jsonl.zst"]),
    st.booleans(),
    st.data(),
)
def test_json_lines_keep_their_bytes(lines, mark, dos, out, sort, data):
    try:
        [row.decode() for row in lines]
    except UnicodeDecodeError:
        return
    scores = data.draw(st.permutations(range(len(lines))))
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "p.jsonl"
        pool.write_bytes(
            b"\xef\xbb\xbf" * mark + b"".join(row + b"\r\n" * dos + b"\n" * (not dos) for row in lines)
        )
        bare = unpacked(kept(pool, len(lines), out, scores=scores, sort=sort, added_columns=False))
        full = unpacked(kept(pool, len(lines), out, scores=scores, sort=sort))
    order = sorted(range(len(lines)), key=lambda n: -scores[n]) if sort else range(len(lines))
    own = [lines[n].rstrip(b"\r") + b"\n" for n in order]
    assert bare == b"".join(own)
    for number, before, after in zip(order, own, full.split(b"\n")[:-1], strict=True):
        start = after.rindex(b', "scar_rank": ')
        assert after[:start] + after[after.rindex(b"}") :] + b"\n" == before
        assert json.loads(after)["scar_style"] == scores[number]


@settings(max_examples=30)
@given(st.lists(ROW, min_size=1, max_size=4), st.sampled_from([None, 0, 1, "\t"]))
def test_elements_of_a_pretty_array_become_lines_of_the_same_values_in_the_same_order(rows, indent):
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "p.json"
        pool.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
        data = kept(pool, len(rows), "k.jsonl", added_columns=False).read_bytes()
    assert [json.loads(text, object_pairs_hook=list) for text in data.split(b"\n")[:-1]] == [
        json.loads(json.dumps(row), object_pairs_hook=list) for row in rows
    ]


TYPES = {
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    pa.large_string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    pa.binary(): st.binary(max_size=4),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.decimal128(10, 2): st.integers(-(10**6), 10**6).map(lambda n: Decimal(n) / 100),
    pa.timestamp("us", "UTC"): st.integers(0, 10**9).map(
        lambda n: datetime(1970, 1, 1) + timedelta(seconds=n)
    ),
    pa.timestamp("ns"): st.integers(0, 10**18),
    pa.date32(): st.dates(date(1900, 1, 1)),
    pa.list_(pa.struct([("role", pa.string()), ("n", pa.int32())])): st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", None, "é"]), "n": st.integers(0, 9)}),
        max_size=2,
    ),
    pa.struct([("a", pa.struct([("b", pa.list_(pa.float64()))]))]): st.fixed_dictionaries(
        {"a": st.none() | st.fixed_dictionaries({"b": st.lists(st.floats(allow_nan=False), max_size=2)})}
    ),
    pa.map_(pa.string(), pa.int64()): st.lists(
        st.tuples(st.text("ab", max_size=2), st.integers(0, 9)), max_size=2
    ),
}


@st.composite
def table(draw):
    n = draw(st.integers(1, 7))
    columns = {"instruction": pa.array(["i"] * n), "response": pa.array(["r"] * n)}
    for number, kind in enumerate(draw(st.lists(st.sampled_from(list(TYPES)), max_size=4))):
        values = draw(st.lists(st.none() | TYPES[kind], min_size=n, max_size=n))
        columns[f"c{number}"] = pa.array(values, kind)
    if draw(st.booleans()):
        words = draw(st.lists(st.sampled_from(["x", "y", None, "z"]), min_size=n, max_size=n))
        columns["word"] = pa.array(words, pa.string()).dictionary_encode()
    return pa.table(columns)


@pytest.mark.slow
@settings(max_examples=60)
@given(table(), st.booleans(), st.booleans(), st.booleans(), st.data())
def test_rows_of_a_table_keep_every_value_and_type(rows, arrow, sort, added, data):
    scores = data.draw(st.permutations(range(len(rows))))
    least = data.draw(st.integers(-1, len(rows)))
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / ("p.arrow" if arrow else "p.parquet")
        if arrow:
            with pa.ipc.new_stream(pool, rows.schema) as writer:
                for start in range(0, len(rows), 2):  # a dictionary of its own in each batch
                    writer.write_table(own_words(rows.slice(start, 2)))
        else:
            pq.write_table(rows, pool, row_group_size=2)
        path = kept(pool, len(rows), "k.parquet", least=least, scores=scores, sort=sort, added_columns=added)
        given_, found = pq.read_table(pool) if not arrow else rows, pq.read_table(path)
    numbers = [n for n in range(len(rows)) if scores[n] >= least]
    order = sorted(numbers, key=lambda n: -scores[n]) if sort else numbers
    bare = found.select(rows.column_names)
    assert bare.schema.equals(given_.schema)
    assert bare.to_pylist() == given_.take(pa.array(order, pa.int64())).to_pylist()
    if added:
        assert found.column_names == [*rows.column_names, *ADDED]
        assert found["scar_row"].to_pylist() == order
        assert found.schema.field("scar_style").type == pa.float32()
    else:
        assert found.column_names == rows.column_names


def own_words(rows):
    if "word" not in rows.column_names:
        return rows
    at = rows.column_names.index("word")
    words = rows["word"].combine_chunks()
    words = words if isinstance(words, pa.DictionaryArray) else words.chunk(0)
    return rows.set_column(at, "word", words.dictionary_decode().dictionary_encode())


@pytest.mark.parametrize(
    ("kind", "out"), [("jsonl", "k.jsonl"), ("jsonl", "k.parquet"), ("parquet", "k.parquet")]
)
def test_rows_that_wait_to_be_sorted_wait_beside_the_output(tmp_path, monkeypatch, kind, out):
    opened = []

    def temporary(*, dir):
        opened.append(dir)
        return TemporaryFile(dir=dir)

    monkeypatch.setattr("scar.selection.spill.tempfile.TemporaryFile", temporary)
    rows = [{"instruction": "i", "response": f"r{n}"} for n in range(5)]
    write_as(kind, tmp_path / "pool", rows)
    make_run(tmp_path / "run", tmp_path / "pool", {"style": [1, 2, 3, 4, 5]})
    select(tmp_path / "run", TopK(3), tmp_path / out, output=Output(sort=True))
    assert opened == [tmp_path]
    assert os.listdir(tmp_path).count(out) == 1


def test_many_rows_of_a_table_keep_their_order_when_sorted(tmp_path):
    n = 2300
    words = pa.array([f"w{k // 500}" for k in range(n)]).dictionary_encode()
    rows = pa.table({"instruction": ["i"] * n, "response": [f"r{k}" for k in range(n)], "word": words})
    rows = rows.replace_schema_metadata({"note": "kept"})
    pq.write_table(rows, tmp_path / "p.parquet", row_group_size=700)
    scores = np.random.default_rng(0).permutation(n)
    found = pq.read_table(kept(tmp_path / "p.parquet", n, "k.parquet", scores=scores, sort=True))
    assert found["scar_rank"].to_pylist() == list(range(1, n + 1))
    assert found["scar_row"].to_pylist() == np.argsort(-scores).tolist()
    assert found["word"].to_pylist() == [f"w{k // 500}" for k in np.argsort(-scores)]
    assert found.schema.metadata[b"note"] == b"kept"


def jsonl(folder, rows):
    return write_jsonl(folder / "p.jsonl", [{"instruction": "i", "response": "r", **row} for row in rows])


ONE = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
        "s": st.none() | st.text(max_size=4),
        "l": st.none()
        | st.lists(st.fixed_dictionaries({"a": st.booleans()}, optional={"b": st.text()}), max_size=2),
        "d": st.none()
        | st.fixed_dictionaries({"z": st.integers(0, 9)}, optional={"é": st.lists(st.lists(st.none()))}),
    },
)


def full(value):
    """Leave out what is null: in a table an absent value is a null."""
    if isinstance(value, dict):
        return {name: full(each) for name, each in value.items() if full(each) is not None}
    return [full(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(st.lists(ONE, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_values_of_json_lines_are_the_same_in_a_table(rows, sort, added):
    with tempfile.TemporaryDirectory() as folder:
        path = kept(jsonl(Path(folder), rows), len(rows), "k.parquet", sort=sort, added_columns=added)
        found = pq.read_table(path).to_pylist()
    own = [{"instruction": "i", "response": "r", **row} for row in (rows[::-1] if sort else rows)]
    assert [full({k: v for k, v in row.items() if k not in ADDED}) for row in found] == [
        full(row) for row in own
    ]
    assert not added or [row["scar_row"] for row in found] == (list(range(len(rows)))[:: -1 if sort else 1])


@pytest.mark.parametrize(
    ("rows", "line", "told"),
    [
        ([{"n": 1}, {"n": "a"}], 2, "n is text"),
        ([{"n": {"m": [1]}}, {"n": {"m": ["a"]}}], 2, r"n\.m\[\] is text"),
        ([{"n": 2**53 + 1}, {"n": 1.5}], 2, "n is a number"),
        ([{"n": 1.5}, {}, {"n": 2**53 + 1}], 3, "n is a number"),
        ([{"n": True}, {"n": 1}], 2, "n is a number"),
        ([{"n": 2**63}], 1, "n holds an integer of more than 64 bits"),
        ([{"n": "\ud800"}], 1, "n holds a lone surrogate"),
        ([b'{"instruction": "i", "response": "r", "n": 1, "n": 2}'], 1, "n stands twice"),
        ([b'{"instruction": "i", "response": "r", "d": {"n": 1, "n": 2}}'], 1, "n stands twice"),
        (
            [b'{"instruction": "i", "response": "r", "d": ' + b"[" * 300 + b"]" * 300 + b"}"],
            1,
            "nested more than 40 deep",
        ),
        (
            [b'{"instruction": "i", "response": "r", "d": ' + b'{"a":' * 800 + b"1" + b"}" * 801],
            1,
            "more than 40 deep",
        ),
    ],
)
def test_rows_that_no_one_schema_holds_are_named_by_line(tmp_path, rows, line, told):
    lines = [
        row if isinstance(row, bytes) else json.dumps({"instruction": "i", "response": "r", **row}).encode()
        for row in rows
    ]
    with pytest.raises(InputError, match=f"p.jsonl, line {line}: .*{told}.*write .jsonl"):
        kept(write_jsonl(tmp_path / "p.jsonl", lines), len(rows), "k.parquet")
    assert not list(tmp_path.glob("*/k.parquet")) and not list(tmp_path.glob("*/.k*"))


def test_nesting_that_readers_take_is_written(tmp_path):
    deep = b'{"instruction": "i", "response": "r", "d": ' + b"[" * 35 + b"1" + b"]" * 35 + b"}"
    assert len(pq.read_table(kept(write_jsonl(tmp_path / "p.jsonl", [deep]), 1, "k.parquet"))) == 1


def test_an_object_that_is_always_empty_is_named(tmp_path):
    with pytest.raises(InputError, match="d is an object without fields.*write .jsonl"):
        kept(jsonl(tmp_path, [{"d": {}}]), 1, "k.parquet")


def test_tables_become_lines_of_the_same_values(tmp_path):
    rows = pa.table(
        {
            "instruction": ["i"],
            "response": ["r"],
            "n": [2**53 + 1],
            "x": [float("nan")],
            "d": [{"a": ["é", None]}],
        }
    )
    pq.write_table(rows, tmp_path / "p.parquet")
    data = kept(tmp_path / "p.parquet", 1, "k.jsonl", added_columns=False).read_text()
    own = {"instruction": "i", "response": "r", "n": 2**53 + 1, "x": None, "d": {"a": ["é", None]}}
    assert data == json.dumps(own, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("out", ["k.jsonl", "k.parquet"])
def test_cells_stay_text(tmp_path, out):
    (tmp_path / "p.csv").write_text('instruction,response,n,"a ""q"""\ni,r,007,\ni,s,1e5,"x\ny"\n')
    path = kept(tmp_path / "p.csv", 2, out, added_columns=False)
    found = (
        [json.loads(each) for each in path.read_text().splitlines()]
        if out == "k.jsonl"
        else pq.read_table(path).to_pylist()
    )
    assert found == list(csv.DictReader((tmp_path / "p.csv").open(newline="")))
    if out == "k.parquet":
        assert set(pq.read_schema(path).types) == {pa.string()}


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (("jsonl", "parquet"), "b.parquet is parquet and a.jsonl is jsonl"),
        (("csv", "jsonl"), "b.jsonl is jsonl and a.csv is csv"),
        (("parquet", "csv"), "b.csv is csv and a.parquet is parquet"),
    ],
)
def test_types_that_do_not_mix_are_named_before_anything_is_scored(tmp_path, bundle, kinds, told):
    for stem, kind in zip("ab", kinds, strict=True):
        write_as(kind, tmp_path / "pool", pool_rows(2), stem=stem)
    with pytest.raises(InputError, match=f"{told}; write .jsonl"):
        filter_pool(tmp_path / "pool", bundle, tmp_path / "k.parquet", Above(ALL))
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]
    assert filter_pool(tmp_path / "pool", bundle, tmp_path / "k.jsonl", Above(ALL)).kept.kept == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.append_column("more", pa.array([1, 2])), "'more'"),
        (lambda t: t.drop_columns("source"), "'source'"),
        (lambda t: t.set_column(0, "id", t["id"].cast(pa.large_string())), "'id'"),
        (lambda t: t.select(t.column_names[::-1]), "the order of the columns"),
    ],
)
def test_the_first_table_of_another_schema_is_named(tmp_path, bundle, change, told):
    rows = pa.Table.from_pylist(pool_rows(2))
    (tmp_path / "pool").mkdir()
    for name, each in (("a", rows), ("b", rows), ("c", change(rows))):
        pq.write_table(each, tmp_path / "pool" / f"{name}.parquet")
    with pytest.raises(InputError, match=f"c.parquet differs from a.parquet in {told}; write .jsonl"):
        filter_pool(tmp_path / "pool", bundle, tmp_path / "k.parquet", Above(ALL))


def test_a_type_that_parquet_does_not_have_is_named_first(tmp_path, bundle):
    rows = pa.table({"instruction": ["i"], "response": ["r"], "d": pa.array([{}], pa.struct([]))})
    with pa.ipc.new_file(tmp_path / "p.arrow", rows.schema) as writer:
        writer.write_table(rows)
    with pytest.raises(InputError, match="Parquet cannot hold the rows of p.arrow: .*'d'.*write .jsonl"):
        filter_pool(tmp_path / "p.arrow", bundle, tmp_path / "k.parquet", Above(ALL))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "saved"])
@pytest.mark.parametrize("out", ["k.jsonl", "k.jsonl.gz", "k.parquet"])
def test_what_is_kept_is_what_datasets_reads(tmp_path, kind, out):
    from datasets import load_dataset

    rows = [{**row, "n": "5", "long": "x" * 70_000} for row in pool_rows(3)]
    write_as(kind, tmp_path / "pool", rows)
    path = kept(tmp_path / "pool", 3, out)
    builder = "parquet" if out == "k.parquet" else "json"
    found = load_dataset(builder, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert found["scar_row"][:] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_nothing_kept_is_a_table_without_rows(tmp_path, kind):
    write_as(kind, tmp_path / "pool", pool_rows(3))
    found = pq.read_table(kept(tmp_path / "pool", 3, "k.parquet", least=100))
    assert len(found) == 0
    own = (
        list(pool_rows(1)[0]) if kind == "parquet" else []
    )  # JSON rows have no columns before there are rows
    assert found.column_names == [*own, *ADDED]


def test_csv_written_for_tests_is_what_python_reads():
    assert csv_of([{"a": [1], "b": None}]) == b"a,b\r\n[1],\r\n"

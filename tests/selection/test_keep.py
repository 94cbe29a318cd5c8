"""The kept file: the original bytes of the rows that a rule keeps, and nothing else changed."""

import gzip
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.runs import Disk, Plan
from scar.selection.keep import select
from scar.selection.lines import splice
from scar.selection.output import Output
from scar.selection.rules import Above, TopK
from tests.make import read_jsonl, write_jsonl
from tests.selection.made import make_run

ALONE = Output(added_columns=False)
ODD_ROWS = [
    b'\xef\xbb\xbf{"instruction": "i", "response": "first, behind a byte order mark"}',
    b'{"instruction":"i","response":"nested","meta":{"a":{"b":[1,{}]}}}\r',
    b'{"response": "twice", "response": "the same key", "instruction": "i"}',
    b'{"instruction": "i", "response": "big", "n": 9007199254740993, "x": 1.10e2, "y": 12345678901234567890}',
    '{"instruction": "哪里？", "response": "Zürich 👍 \u2028 \\u00fc \\ud83d\\ude00"}'.encode(),
    b'  {"instruction": "i", "response": "white space" \t}  ',
    b'{"instruction": "i", "response": "ends in a brace }"}',
]
NAMES = {"scar_rank", "scar_row", "scar_style"}


@pytest.fixture
def pool(tmp_path):
    rows = [{"instruction": "i", "response": f"r{n}", "n": n} for n in range(6)]
    return write_jsonl(tmp_path / "pool.jsonl", [*rows[:2], b"", b"not json", *rows[2:]])


@pytest.fixture
def run(pool, tmp_path):
    """Six scored rows with the row numbers 0, 1, 3, 4, 5, 6; row 2 was set aside."""
    return make_run(tmp_path / "run", pool, {"style": [0.5, 3.0, 2.0, -1.0, 2.0, 0.1]})


def without_added(line):
    """Cut the added fields out of a kept line by hand."""
    start = line.rindex(b', "scar_rank"')
    return line[:start] + line[line.rindex(b"}") :]


@pytest.fixture
def odd(tmp_path):
    pool = write_jsonl(tmp_path / "odd.jsonl", ODD_ROWS)
    return make_run(tmp_path / "odd-run", pool, {"style": range(len(ODD_ROWS))})


def test_kept_rows_are_their_own_bytes_with_fields_before_the_last_brace(odd, tmp_path):
    select(odd, Above(-1), tmp_path / "kept.jsonl")
    kept = (tmp_path / "kept.jsonl").read_bytes().splitlines(keepends=True)
    originals = [row.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r") + b"\n" for row in ODD_ROWS]
    assert [without_added(line) for line in kept] == originals
    for line, original in zip(kept, originals, strict=True):
        row = json.loads(line)
        assert {name: value for name, value in row.items() if name not in NAMES} == json.loads(original)
        assert row.keys() >= NAMES


def test_without_added_columns_only_the_bytes_are_written(odd, tmp_path):
    select(odd, Above(-1), tmp_path / "kept.jsonl", output=ALONE)
    expected = b"".join(row.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r") + b"\n" for row in ODD_ROWS)
    assert (tmp_path / "kept.jsonl").read_bytes() == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text().filter(lambda name: name != "added"), JSON),
    st.booleans(),
    st.sampled_from(["", " ", "\t", "\r "]),
    st.sampled_from(["", " ", "\r"]),
    st.sampled_from([None, 1]),
)
def test_splicing_keeps_every_byte_and_adds_the_field(row, ascii_only, inside, after, indent):
    text = json.dumps(row, ensure_ascii=ascii_only, separators=(",", ":") if indent else None)
    raw = (text[:-1] + inside + "}" + after).encode("utf-8", "surrogatepass")
    spliced = splice(raw, {"added": "1.5"})
    assert json.loads(spliced) == {**row, "added": 1.5}
    field = b'"added": 1.5' if not row else b', "added": 1.5'
    at = spliced.rindex(field)
    assert spliced[:at] + spliced[at + len(field) :] == raw


@pytest.mark.parametrize(
    "raw, expected",
    [
        (b"{}", b'{"a": 1}'),
        (b"{ }", b'{ "a": 1}'),
        (b'{"b": {}}', b'{"b": {}, "a": 1}'),
        (b'{"b": "{"}', b'{"b": "{", "a": 1}'),
        (b'{"b": "\\"{"} ', b'{"b": "\\"{", "a": 1} '),
    ],
)
def test_a_comma_stands_only_after_another_field(raw, expected):
    assert splice(raw, {"a": "1"}) == expected


def test_rank_row_and_score_are_those_of_the_selection(run, tmp_path):
    select(run, TopK(3), tmp_path / "kept.jsonl")
    facts = [
        (row["n"], row["scar_rank"], row["scar_row"], row["scar_style"])
        for row in read_jsonl(tmp_path / "kept.jsonl")
    ]
    # In input order; rows 3 and 5 tie, the earlier one is ahead.
    assert facts == [(1, 1, 1, 3.0), (2, 2, 3, 2.0), (4, 3, 5, 2.0)]


def test_a_score_reads_back_as_the_same_float32(pool, tmp_path):
    import numpy as np

    scores = np.float32([1 / 3, 1e-30, -1e20, 16777217, 0.1, 1e-7])
    run = make_run(tmp_path / "run", pool, {"style": scores})
    select(run, Above(-1e30), tmp_path / "kept.jsonl")
    assert [np.float32(row["scar_style"]) for row in read_jsonl(tmp_path / "kept.jsonl")] == scores.tolist()


def test_sorted_is_best_first(run, tmp_path):
    select(run, TopK(4), tmp_path / "kept.jsonl", output=Output(sort=True))
    kept = read_jsonl(tmp_path / "kept.jsonl")
    assert [row["scar_rank"] for row in kept] == [1, 2, 3, 4]
    assert [row["n"] for row in kept] == [1, 2, 4, 0]


def test_sorting_too_many_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr("scar.selection.keep.MOST_SORTED", 2)
    with pytest.raises(InputError, match="at most 2 kept rows, this selection has 3"):
        select(run, TopK(3), tmp_path / "kept.jsonl", output=Output(sort=True))


def test_every_score_of_several_rankers_is_added(pool, tmp_path):
    run = make_run(tmp_path / "run", pool, {"style": range(6), "quality": [9, 8, 7, 6, 5, 4]})
    select(run, TopK(1), tmp_path / "kept.jsonl", by="quality")
    (row,) = read_jsonl(tmp_path / "kept.jsonl")
    assert (row["n"], row["scar_style"], row["scar_quality"]) == (0, 0.0, 9.0)


def test_gzip_output_holds_the_same_rows_and_is_the_same_each_time(run, tmp_path):
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz"):
        select(run, TopK(3), tmp_path / name)
    packed = (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "a.jsonl").read_bytes()
    assert packed == (tmp_path / "c.jsonl.gz").read_bytes()
    assert packed[4:8] == bytes(4)  # no time in the header


def test_a_compressed_pool_gives_the_same_rows(run, pool, tmp_path):
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(pool.read_bytes()))
    other = make_run(tmp_path / "other", packed, {"style": [0.5, 3.0, 2.0, -1.0, 2.0, 0.1]})
    select(run, TopK(3), tmp_path / "a.jsonl")
    select(other, TopK(3), tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_rows_of_several_files_are_numbered_through(tmp_path):
    (tmp_path / "pool").mkdir()
    for name in ("a", "b", "c"):
        rows = [] if name == "b" else [{"instruction": "i", "response": f"{name}{n}"} for n in range(4)]
        write_jsonl(tmp_path / "pool" / f"{name}.jsonl", rows)
    run = make_run(tmp_path / "run", tmp_path / "pool", {"style": [0, 0, 0, 5, 0, 9, 0, 0]})
    select(run, TopK(2), tmp_path / "kept.jsonl")
    kept = [(row["response"], row["scar_row"]) for row in read_jsonl(tmp_path / "kept.jsonl")]
    assert kept == [("a3", 3), ("c1", 5)]


def test_a_column_of_the_row_is_never_replaced(tmp_path):
    pool = write_jsonl(tmp_path / "p.jsonl", [{"instruction": "i", "response": "r", "scar_row": 7}])
    run = make_run(tmp_path / "run", pool, {"style": [1]})
    with pytest.raises(InputError, match="p.jsonl, line 1: .*'scar_row' already; choose another --prefix"):
        select(run, TopK(1), tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()
    select(run, TopK(1), tmp_path / "kept.jsonl", output=Output(prefix="mine_"))
    assert read_jsonl(tmp_path / "kept.jsonl")[0] == {
        "instruction": "i",
        "response": "r",
        "scar_row": 7,
        "mine_rank": 1,
        "mine_row": 0,
        "mine_style": 1.0,
    }


def test_an_existing_output_is_replaced_only_when_asked(run, tmp_path):
    out = tmp_path / "kept.jsonl"
    out.write_text("precious")
    with pytest.raises(InputError, match="kept.jsonl exists; --overwrite"):
        select(run, TopK(1), out)
    assert out.read_text() == "precious"
    select(run, TopK(1), out, output=Output(overwrite=True))
    assert len(read_jsonl(out)) == 1


@pytest.mark.parametrize(
    "name, named",
    [
        ("kept.csv", r"\.jsonl, .*\.parquet"),
        ("kept", r"\.jsonl, "),
        ("nowhere/kept.jsonl", "nowhere: no such folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(run, tmp_path, name, named):
    with pytest.raises(InputError, match=named):
        select(run, TopK(1), tmp_path / name)


def test_a_failure_leaves_no_output_and_no_temp_file(tmp_path):
    rows = [{"instruction": "i", "response": "r"}, {"instruction": "i", "response": "r", "scar_rank": 1}]
    run = make_run(tmp_path / "run", write_jsonl(tmp_path / "p.jsonl", rows), {"style": [1, 2]})
    with pytest.raises(InputError):
        select(run, TopK(2), tmp_path / "kept.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "p.jsonl"}


@pytest.mark.parametrize(
    "change", [lambda b: b + b"{}\n", lambda b: b.replace(b"r1", b"R1"), lambda b: b[:-1]]
)
def test_a_pool_that_changed_is_refused(run, pool, tmp_path, change):
    pool.write_bytes(change(pool.read_bytes()))
    with pytest.raises(InputError, match="pool.jsonl: changed since it was scored"):
        select(run, TopK(1), tmp_path / "kept.jsonl")


def test_a_moved_pool_is_given_by_its_new_place(run, pool, tmp_path):
    select(run, TopK(2), tmp_path / "before.jsonl")
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(pool, tmp_path / "elsewhere" / pool.name)
    with pytest.raises(InputError, match="--pool gives its new place"):
        select(run, TopK(2), tmp_path / "kept.jsonl")
    for number, place in enumerate((moved, tmp_path / "elsewhere", [moved])):
        select(run, TopK(2), tmp_path / f"{number}.jsonl", pool=place)
        assert (tmp_path / f"{number}.jsonl").read_bytes() == (tmp_path / "before.jsonl").read_bytes()


def test_a_new_place_without_the_file_is_refused(run, tmp_path):
    other = write_jsonl(tmp_path / "other.jsonl", [{"instruction": "i", "response": "r"}])
    with pytest.raises(InputError, match="pool.jsonl: not in the pool any more"):
        select(run, TopK(1), tmp_path / "kept.jsonl", pool=other)


def test_a_run_that_did_not_finish_is_refused(pool, tmp_path):
    run = make_run(tmp_path / "half", pool, {"style": range(6)}, finished=False)
    with pytest.raises(InputError, match="did not finish"):
        select(run, TopK(1), tmp_path / "kept.jsonl")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing: no such run folder"):
        select(tmp_path / "nothing", TopK(1), tmp_path / "kept.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="plan.json: missing; this folder is not a run"):
        select(tmp_path / "folder", TopK(1), tmp_path / "kept.jsonl")
    (tmp_path / "folder" / "plan.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="not a plan of this version"):
        select(tmp_path / "folder", TopK(1), tmp_path / "kept.jsonl")


def test_a_row_of_several_parts_is_written_once_for_each_kept_part(tmp_path):
    responses = {"human": "h", "direct": "d", "größer": "g", "bad": ""}
    rows = [
        {"instruction": "i", "responses": responses},
        {"instruction": "i", "responses": {"human": "only"}},
    ]
    run = make_run(
        tmp_path / "run", write_jsonl(tmp_path / "p.jsonl", rows), {"style": [1, 5, 4, 3]}, chunk_rows=1
    )
    report = select(run, TopK(3), tmp_path / "kept.jsonl")
    kept = read_jsonl(tmp_path / "kept.jsonl")
    facts = [(row["scar_row"], row["scar_part"], row["scar_rank"]) for row in kept]
    assert facts == [(0, "direct", 1), (0, "größer", 2), (1, "human", 3)]
    assert [row["responses"] for row in kept] == [responses, responses, {"human": "only"}]
    assert (report.rows, report.records, report.kept, report.dropped, report.set_aside) == (2, 5, 3, 1, 1)


def test_rows_that_were_set_aside_are_never_kept(run, tmp_path):
    report = select(run, TopK(100), tmp_path / "kept.jsonl")
    assert [row["scar_row"] for row in read_jsonl(tmp_path / "kept.jsonl")] == [0, 1, 3, 4, 5, 6]
    assert (report.records, report.kept, report.set_aside) == (7, 6, 1)


@pytest.mark.parametrize("rule", [TopK(2), Above(1), Above(100), TopK(5) + Above(1) + TopK(1), TopK(100)])
def test_the_counts_of_the_report_add_up(run, tmp_path, rule):
    report = select(run, rule, tmp_path / "kept.jsonl")
    assert report.kept == len(read_jsonl(tmp_path / "kept.jsonl"))
    assert report.kept + report.dropped == 6
    assert report.records == report.kept + report.dropped + report.set_aside
    assert sum(dropped for _, dropped in report.stages) == report.dropped
    assert report.rows == Plan.read(Disk(run)).rows == 7


def test_a_k_beyond_the_pool_is_noted(run, tmp_path):
    assert select(run, TopK(6), tmp_path / "a.jsonl").notes == ()
    (note,) = select(run, TopK(7), tmp_path / "b.jsonl").notes
    assert "asked for 7, there were only 6" in note


def test_a_k_is_compared_with_what_its_own_stage_saw(run, tmp_path):
    assert select(run, TopK(4) + Above(2.5), tmp_path / "a.jsonl").notes == ()
    (note,) = select(run, Above(1) + TopK(5), tmp_path / "b.jsonl").notes
    assert "asked for 5, there were only 3" in note


def test_keeping_nothing_is_noted_and_writes_an_empty_file(run, tmp_path):
    report = select(run, Above(100), tmp_path / "kept.jsonl")
    assert report.notes == ("no record was kept",)
    assert (tmp_path / "kept.jsonl").read_bytes() == b""

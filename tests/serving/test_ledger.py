"""Commit chunks, and say which are done."""

import hashlib
import json

import pyarrow as pa
import pytest

from scar.pools import Chunk
from scar.records import Address, Reason, SetAside
from scar.runs import PLAN, SET_ASIDE, Disk, Plan
from scar.runs.checked import checked, read_checked
from scar.serving.ledger import Counts, commit, digest, done, join_set_aside

FINGERPRINT = {"pool": {"a.jsonl": "00"}, "graph": "tower.onnx"}


def plan_of(chunks=2, **changed):
    from scar.pools import FileFacts

    cuts = tuple(Chunk(n, "a.jsonl", 0, n + 1, n, 1) for n in range(chunks))
    facts = FileFacts("a.jsonl", 9, "00", chunks)
    return Plan(("a.jsonl",), (facts,), cuts, ("style",), {**FINGERPRINT, **changed})


def aside(row, reason=Reason.INVALID_JSON, part=None):
    return SetAside(Address(row, "a.jsonl", row + 1), reason, "ausführlich", "id", part)


@pytest.fixture
def folder(tmp_path):
    folder = Disk(tmp_path / "run")
    folder.prepare()
    plan_of().write(folder)
    return folder


def committed(folder, index, items=(), **counts):
    sheet = pa.table({"row": [index], "line": [index + 1]})
    commit(folder, index, sheet, list(items), Counts(rows=1, records=1, **counts), digest(FINGERPRINT))


def files(folder):
    return sorted(
        path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()
    )


def test_an_entry_names_size_and_checksum_of_the_files_it_stands_for(folder):
    committed(folder, 0, [aside(0)])
    entry = json.loads((folder.path / "ledger/00000000.json").read_bytes())
    contents = {
        n: (folder.path / n).read_bytes() for n in ("chunks/00000000.parquet", "set_aside/00000000.jsonl")
    }
    assert entry["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    assert (entry["chunk"], entry["rows"], entry["fingerprint"]) == (0, 1, digest(FINGERPRINT))


def test_a_commit_leaves_no_temp_file(folder):
    committed(folder, 1)
    assert files(folder) == [
        "chunks/00000001.parquet",
        "ledger/00000001.json",
        PLAN,
        "set_aside/00000001.jsonl",
    ]


def test_a_commit_that_fails_leaves_nothing(folder):
    with pytest.raises(UnicodeEncodeError):
        committed(folder, 0, [aside(0, part="\ud800")])
    assert files(folder) == [PLAN]


def test_equal_chunks_give_equal_bytes(folder, tmp_path):
    other = Disk(tmp_path / "other")
    other.prepare()
    plan_of().write(other)
    for run in (folder, other):
        committed(run, 0, [aside(0)])
    assert [(folder.path / name).read_bytes() for name in files(folder)] == [
        (other.path / name).read_bytes() for name in files(other)
    ]


def test_set_aside_rows_are_joined_in_pool_order(folder):
    committed(folder, 1, [aside(1)])
    committed(folder, 0, [aside(0, part="human"), aside(0, part="direct")])
    join_set_aside(folder, plan_of())
    rows = [json.loads(line) for line in (folder.path / SET_ASIDE).read_bytes().splitlines()]
    assert [(row["row"], row["part"]) for row in rows] == [(0, "human"), (0, "direct"), (1, None)]
    assert rows[2] == {
        "row": 1,
        "part": None,
        "file": "a.jsonl",
        "line": 2,
        "id": "id",
        "reason": "invalid_json",
        "detail": "ausführlich",
    }


def test_counts_are_added_by_name_and_by_reason():
    counts = Counts(1, 2, 3, 4, 5, {"a": 1, "b": 2}, {"s": 1})
    counts.add(Counts(10, 20, 30, 40, 50, {"b": 20, "c": 30}, {"s": 10, "t": 20}, {"t": 7}))
    assert counts == Counts(11, 22, 33, 44, 55, {"a": 1, "b": 22, "c": 30}, {"s": 11, "t": 20}, {"t": 7})


def test_what_has_an_entry_and_whole_files_is_done(folder):
    assert done(folder, plan_of()).chunks == frozenset()
    committed(folder, 1, scored=1, tokens_of={"style": 7})
    had = done(folder, plan_of())
    assert had.chunks == {1} and had.counts == Counts(1, 1, 1, tokens_of={"style": 7})
    assert done(folder, plan_of(), [0]).chunks == frozenset()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "name", ["chunks/00000001.parquet", "set_aside/00000001.jsonl", "ledger/00000001.json"]
)
@pytest.mark.parametrize("harm", [_cut, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_chunk_with_a_file_that_is_cut_emptied_or_gone_is_not_done(folder, name, harm):
    committed(folder, 0, [aside(0)])
    committed(folder, 1, [aside(1)])
    harm(folder.path / name)
    if name.endswith("json") and (folder.path / name).exists() and (folder.path / name).read_bytes():
        (folder.path / name).write_bytes((folder.path / name).read_bytes()[:-2])
    assert done(folder, plan_of()).chunks == {0}


@pytest.mark.parametrize(
    "value", [None, [], {}, {"chunk": 1}, {"chunk": 0, "fingerprint": "x", "files": {}}, "x", 7]
)
def test_an_entry_of_another_shape_or_run_does_not_count(folder, value):
    committed(folder, 1)
    (folder.path / "ledger/00000001.json").write_text(json.dumps(value))
    assert done(folder, plan_of()).chunks == frozenset()


@pytest.mark.parametrize(
    "forged",
    [
        {"files": ["chunks/00000001.parquet", "set_aside/00000001.jsonl"]},
        {"files": {"chunks/00000001.parquet": [], "set_aside/00000001.jsonl": "x"}},
        {"rows": "1"},
        {"tokens_of": {"style": "many"}},
        {"set_aside": []},
        {"truncated": None},
    ],
)
def test_a_forged_entry_with_a_right_checksum_does_not_count(folder, forged):
    committed(folder, 1, scored=1)
    path = folder.path / "ledger/00000001.json"
    path.write_bytes(checked(json.dumps(read_checked(path.read_bytes()) | forged)))
    assert done(folder, plan_of()).chunks == frozenset()


def test_an_entry_that_is_nested_too_deeply_does_not_count(folder):
    committed(folder, 1)
    (folder.path / "ledger/00000001.json").write_bytes(
        checked('{"chunk": ' + "[" * 99_999 + "]" * 99_999 + "}")
    )
    assert done(folder, plan_of()).chunks == frozenset()


def test_entries_of_another_fingerprint_do_not_count(folder):
    committed(folder, 1)
    assert done(folder, plan_of(graph="fused.onnx")).chunks == frozenset()

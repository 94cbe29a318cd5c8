"""The parts of a run: reading ahead, committing chunks, claiming and clearing a folder."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.errors import InputError, RunError
from scar.files import sha256, write_json
from scar.pools import Chunk
from scar.records import Address, Reason, SetAside
from scar.runs import CHUNKS, LEDGER, PLAN, RUN, SET_ASIDE, SET_ASIDE_PARTS, Plan
from scar.serving.answers import Scores
from scar.serving.ledger import Counts, commit, digest, join_set_aside
from scar.serving.pipeline import refuse_non_finite
from scar.serving.plan import claim, clear, differing
from scar.serving.sidecar import Item, count, table, with_scores

FINGERPRINT = {
    "pool": {"a.jsonl": "00"},
    "scoring": {"batch_tokens": 1, "carry": []},
    "rankers": ["style"],
    "graph": "tower.onnx",
}


def plan_of(chunks=2, **changed):
    cuts = tuple(Chunk(n, "a.jsonl", 0, n + 1, n, 1) for n in range(chunks))
    return Plan(("a.jsonl",), (), cuts, ("style",), {**FINGERPRINT, **changed})


def aside(row, reason=Reason.INVALID_JSON, part=None):
    return SetAside(Address(row, "a.jsonl", row + 1), reason, "ausführlich", "id", part)


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "run"
    assert claim(run, plan_of(), overwrite=False)
    return run


def committed(run, index, items=()):
    commit(
        run,
        index,
        pa.table({"row": [index], "line": [index + 1]}),
        list(items),
        Counts(rows=1, records=1),
        FINGERPRINT,
    )


def files(run):
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


def test_an_entry_names_the_checksums_of_the_files_it_stands_for(folder):
    committed(folder, 0, [aside(0)])
    entry = json.loads((folder / LEDGER / "00000000.json").read_bytes())
    assert entry["files"] == {
        name: sha256(folder / name) for name in ("chunks/00000000.parquet", "set_aside/00000000.jsonl")
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


def test_a_commit_that_fails_leaves_no_entry_and_no_temp_file(folder):
    with pytest.raises(UnicodeEncodeError):
        committed(folder, 0, [aside(0, part="\ud800")])
    assert files(folder) == ["chunks/00000000.parquet", PLAN]


def test_equal_chunks_give_equal_bytes(folder, tmp_path):
    other = tmp_path / "other"
    claim(other, plan_of(), overwrite=False)
    for run in (folder, other):
        committed(run, 0, [aside(0)])
    assert [(folder / name).read_bytes() for name in files(folder)] == [
        (other / name).read_bytes() for name in files(other)
    ]


def test_set_aside_rows_are_joined_in_pool_order(folder):
    committed(folder, 1, [aside(1)])
    committed(folder, 0, [aside(0, part="human"), aside(0, part="direct")])
    join_set_aside(folder, plan_of())
    rows = [json.loads(line) for line in (folder / SET_ASIDE).read_bytes().splitlines()]
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


@pytest.mark.parametrize(
    "changed, named",
    [
        ({}, None),
        ({"graph": "other.onnx"}, "graph"),
        ({"scoring": 3}, "scoring"),
        ({"more": 1}, "more"),
        ({"scoring": {"batch_tokens": 2, "carry": []}}, "scoring.batch_tokens"),
        ({"scoring": {"batch_tokens": 1, "carry": ["source"]}}, "scoring.carry"),
        ({"pool": {}}, "pool.a.jsonl"),
        ({"pool": {"a.jsonl": "00", "b.jsonl": "11"}}, "pool.b.jsonl"),
    ],
)
def test_the_field_that_differs_is_named_with_its_path(changed, named):
    assert differing(FINGERPRINT, {**FINGERPRINT, **changed}) == named


def test_a_plan_read_back_is_the_same_plan(folder):
    assert Plan.read(folder) == plan_of()
    assert differing(Plan.read(folder).fingerprint, FINGERPRINT) is None


def test_a_finished_run_is_not_started_again(folder):
    write_json(folder / RUN, {})
    assert claim(folder, plan_of(), overwrite=False) is False
    assert claim(folder, plan_of(), overwrite=True) is True
    assert files(folder) == [PLAN]


def test_another_or_an_unfinished_run_is_refused_by_name(folder):
    with pytest.raises(InputError, match="graph differs"):
        claim(folder, plan_of(graph="fused.onnx"), overwrite=False)
    with pytest.raises(InputError, match="unfinished"):
        claim(folder, plan_of(), overwrite=False)


def test_a_run_of_an_earlier_version_is_told_and_can_be_overwritten(folder):
    write_json(folder / RUN, {})
    plan = json.loads((folder / PLAN).read_bytes())
    del plan["fingerprint"]["rankers"]
    write_json(folder / PLAN, plan)
    with pytest.raises(InputError, match="run was scored by an earlier version"):
        claim(folder, plan_of(), overwrite=False)
    assert claim(folder, plan_of(), overwrite=True) and Plan.read(folder) == plan_of()


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not a run"):
        claim(tmp_path, plan_of(), overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        claim(tmp_path / "thesis.tex", plan_of(), overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_clearing_deletes_what_the_plan_lists_and_nothing_else(folder):
    for index in (0, 1):
        committed(folder, index, [aside(index)])
    for name in (RUN, SET_ASIDE):
        (folder / name).write_text("{}")
    foreign = ["chunks/00000002.parquet", "chunks/notes.txt", "mine.txt"]
    for name in foreign:
        (folder / name).write_text("precious")
    clear(folder)
    assert files(folder) == foreign
    assert not (folder / SET_ASIDE_PARTS).exists() and not (folder / LEDGER).exists()


def test_clearing_a_run_of_our_own_leaves_an_empty_folder(folder):
    committed(folder, 0)
    clear(folder)
    assert list(folder.iterdir()) == []


NAN = np.nan


def items_and_scores():
    """One row of three parts, the second set aside; then a row whose score is not finite."""
    items = [
        Item(Address(0, "a.jsonl", 1), "x", "human", None, ("s",)),
        Item(Address(0, "a.jsonl", 1), "x", "bad", aside(0, Reason.EMPTY_RESPONSE, "bad"), ("s",)),
        Item(Address(0, "a.jsonl", 1), "x", "direct", None, ("s",)),
        Item(Address(1, "a.jsonl", 2), None, None, None, (None,)),
    ]
    return items, {"style": given([1.5, -2, NAN], [5, 6, 7], [True, False, True])}


def given(scores, tokens, truncated, **columns):
    columns = {name: np.float32(values) for name, values in columns.items()}
    return Scores(np.float32(scores), np.int32(tokens), np.asarray(truncated, dtype=bool), columns)


def test_a_chunk_is_laid_out_a_record_a_row():
    items, scores = items_and_scores()
    sheet = table(*with_scores(items, scores), scores, ["source"]).to_pydict()
    assert sheet["row"] == [0, 0, 0, 1] and sheet["part"] == ["human", "bad", "direct", None]
    assert sheet["style"] == [1.5, None, -2.0, None] and sheet["style_tokens"] == [5, None, 6, None]
    assert sheet["reason"] == [None, "empty_response", None, "non_finite"]
    assert sheet["source"] == ["s", "s", "s", None]


def test_records_are_scored_or_set_aside():
    items, scores = items_and_scores()
    counts = count(*with_scores(items, scores), scores)
    aside = {"empty_response": 1, "non_finite": 1}
    assert counts == Counts(2, 4, 2, 1, 11, aside, {"style": 11}, {"style": 1})


def test_each_rankers_columns_follow_each_other_and_a_record_that_one_cannot_score_has_none():
    items, scores = items_and_scores()
    scores["quality"] = given(
        [NAN, 1, NAN], [9, 8, 7], [True, True, True], quality_p=[NAN, 0.5, NAN], p_seen=[0, 0.25, 0]
    )
    sheet = table(*with_scores(items, scores), scores, ["source"])
    style = ["style", "style_tokens", "style_truncated"]
    quality = ["quality", "quality_tokens", "quality_truncated", "quality_p", "p_seen"]
    assert sheet.column_names[6:] == [*style, *quality, "source"]
    assert sheet["reason"].to_pylist() == ["quality:non_finite", "empty_response", None, "style:non_finite"]
    for name, value in {
        "style": -2,
        "style_tokens": 6,
        "quality": 1,
        "quality_p": 0.5,
        "p_seen": 0.25,
    }.items():
        assert sheet[name].to_pylist() == [None, None, value, None], name


def test_the_detail_names_every_ranker_that_failed_where_several_score():
    items, scores = items_and_scores()
    alone, _ = with_scores(items, scores)
    assert alone[3].set_aside.detail == "the model gave no finite score, also alone"
    scores["quality"] = given([1, 1, NAN], [9, 8, 7], [False] * 3)
    several, places = with_scores(items, scores)
    assert several[3].set_aside.detail == "style and quality gave no finite score, also alone"
    assert places == [0, -1, 1, 2]


def test_a_record_that_is_cut_for_several_rankers_is_counted_once():
    items, scores = items_and_scores()
    scores["quality"] = given([1, 2, 3], [50, 60, 70], [True, True, True])
    counts = count(*with_scores(items, scores), scores)
    assert (counts.truncated, counts.truncated_of) == (2, {"style": 1, "quality": 2})
    assert (counts.tokens, counts.tokens_of) == (121, {"style": 11, "quality": 110})
    assert counts.set_aside == {"empty_response": 1, "style:non_finite": 1}


def test_a_chunk_without_a_readable_row_has_a_sidecar_of_the_same_columns(tmp_path):
    none = {"style": given([], [], [], style_p=[])}
    items = [Item(Address(0), None, None, aside(0), (None,))]
    empty = table(*with_scores(items, none), none, ["source"])
    full, _ = items_and_scores()
    scores = {"style": given([1, 2, 3], [1, 2, 3], [True] * 3, style_p=[0, 0, 0])}
    assert empty.schema == table(*with_scores(full, scores), scores, ["source"]).schema
    pq.write_table(empty, tmp_path / "empty.parquet")
    assert pq.read_table(tmp_path / "empty.parquet").num_rows == 1


@pytest.mark.parametrize(
    "bad, n, stops", [(1, 1, False), (1, 50, False), (2, 50, True), (2, 200, False), (3, 200, True)]
)
def test_a_run_stops_at_more_than_one_bad_score_and_one_in_a_hundred(bad, n, stops):
    values = np.zeros(n, np.float32)
    values[:bad] = np.nan
    scores = given(values, np.zeros(n), np.zeros(n))
    chunk = Chunk(3, "a.jsonl", 0, 7, 6, n)
    if not stops:
        return refuse_non_finite(chunk, {"style": scores})
    with pytest.raises(RunError, match=rf"chunk 3 \(a.jsonl, line 7\): {bad} of {n} scores of 'style'"):
        refuse_non_finite(chunk, {"style": scores})


def test_the_folders_of_a_run_are_there_before_its_first_chunk(folder):
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(
        [CHUNKS, LEDGER, SET_ASIDE_PARTS]
    )

"""The sidecar's rows, its counts, and when scores cannot be trusted."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar.errors import RunError
from scar.pools import Chunk
from scar.records import Address, Reason
from scar.serving.answers import Scores
from scar.serving.ledger import Counts
from scar.serving.pipeline import refuse_non_finite
from scar.serving.sidecar import Item, count, laid_out, table, with_scores
from tests.serving.test_ledger import aside

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


def test_embeddings_are_laid_out_as_the_rows_and_one_that_failed_is_blamed():
    items, scores = items_and_scores()
    vectors = np.float16([[1, 0], [NAN, 0], [0, 1]])
    found, places = with_scores(items, scores, vectors)
    told = [item.set_aside and (item.set_aside.code, item.set_aside.detail[:13]) for item in found]
    assert told[0] is None and told[1][0] == "empty_response"
    assert told[2] == ("embedding:non_finite", "its embedding")
    assert told[3] == ("non_finite", "the model gav")
    rows = laid_out(found, places, vectors)
    assert rows.dtype == np.float16 and rows[0].tolist() == [1, 0] and np.isnan(rows[1:]).all()
    scores["quality"] = given([1, NAN, NAN], [1, 1, 1], [False] * 3)
    several, _ = with_scores(items, scores, vectors)
    assert [item.set_aside and item.set_aside.code for item in several] == [
        *(None, "empty_response", "quality:non_finite", "style:non_finite")
    ]

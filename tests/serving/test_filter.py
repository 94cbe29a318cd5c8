"""What `filter_pool` asks of scoring, with a hand-made run in the model's place."""

from types import SimpleNamespace

import pytest

from scar.errors import InputError
from scar.selection.rules import Above, PerGroup, TopK
from scar.serving import filter as filtering
from scar.settings import Scoring
from tests.make import read_jsonl, write_jsonl
from tests.selection.made import make_run


@pytest.fixture
def asked(monkeypatch):
    """Score each row by its number; collects the settings that scoring was asked for."""
    settings = []

    def score_pool(pool, ranker, out, *, scoring, **more):
        settings.append(scoring)
        make_run(out, pool, {"style": range(1000)})

    monkeypatch.setattr(filtering, "score_pool", score_pool)
    monkeypatch.setattr(
        filtering, "Bundle", SimpleNamespace(open=lambda ranker: SimpleNamespace(name="style"))
    )
    return settings


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "pool").mkdir()
    for name in "ab":
        write_jsonl(
            tmp_path / "pool" / f"{name}.jsonl",
            [{"instruction": "i", "response": f"{name}{n}"} for n in range(3)],
        )
    return tmp_path / "pool"


def test_the_run_folder_is_gone_when_all_is_done(asked, pool, tmp_path):
    filtering.filter_pool(pool, "ranker", tmp_path / "kept.jsonl", TopK(2))
    assert {path.name for path in tmp_path.iterdir()} == {"pool", "kept.jsonl"}


def test_the_run_folder_stays_where_it_is_asked_for(asked, pool, tmp_path):
    filtering.filter_pool(pool, "ranker", tmp_path / "kept.jsonl", TopK(2), keep_scores=True)
    assert (tmp_path / "kept.jsonl.run" / "plan.json").is_file()


def test_a_column_that_the_scores_have_anyway_is_grouped_by_without_being_carried(asked, pool, tmp_path):
    filtering.filter_pool(pool, "ranker", tmp_path / "kept.jsonl", PerGroup("file", 1))
    assert asked[0].carry == ()
    assert [row["response"] for row in read_jsonl(tmp_path / "kept.jsonl")] == ["a2", "b2"]


def test_columns_to_group_by_are_carried_once(asked, pool, tmp_path):
    rule = PerGroup("source", 1) + PerGroup("lang", 1)
    with pytest.raises(InputError, match="no column 'source'"):  # the run made here carries nothing
        filtering.filter_pool(pool, "ranker", tmp_path / "kept.jsonl", rule, scoring=Scoring(carry=("lang",)))
    assert asked[0].carry == ("lang", "source")


@pytest.mark.parametrize(
    "out, rule, named",
    [
        ("kept.txt", TopK(1), r"\.jsonl"),
        ("none/kept.jsonl", TopK(1), "no such folder"),
        ("kept.jsonl", Above(0, by="quality"), "no score 'quality'"),
    ],
)
def test_what_cannot_end_well_is_refused_before_anything_is_scored(asked, pool, tmp_path, out, rule, named):
    with pytest.raises(InputError, match=named):
        filtering.filter_pool(pool, "ranker", tmp_path / out, rule)
    assert asked == []

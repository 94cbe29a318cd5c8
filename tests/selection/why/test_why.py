"""What stands beside a kept file: every record accounted for, and why."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar.cli import main
from scar.errors import InputError
from scar.files import sha256
from scar.pools import find
from scar.rules import Above, MustKeep, PerGroup, Random, TopK
from scar.selection.config import from_config, to_config
from scar.selection.fuse import Fuse
from scar.selection.keep import select
from scar.selection.output import Output
from scar.selection.rules import Chain
from scar.selection.rules.rule import Outcome, selection
from scar.selection.why import KeptFolder, why
from tests.make import write_jsonl
from tests.selection.made import make_run

SCORES = [0.5, 3.0, 2.0, -1.0, 2.0, 0.1]


class Rival:
    """A rule of a user's own: drops every record but the best, in favour of it."""

    def select(self, rows):
        scores = rows.finite()
        best = int(np.argmax(np.where(rows.eligible, scores, -np.inf)))
        keep = np.zeros(len(rows), dtype=bool)
        keep[best] = True
        return selection(self, rows, Outcome(keep, np.full(len(rows), best)))

    def __str__(self):
        return "Rival"


@pytest.fixture
def pool(tmp_path):
    rows = [{"id": f"i{n}", "instruction": "i", "response": f"r{n}"} for n in range(6)]
    return write_jsonl(tmp_path / "pool.jsonl", [*rows[:2], b"not json", *rows[2:]])


@pytest.fixture
def run(pool, tmp_path):
    """Rows 0, 1, 3, 4, 5, 6 are scored; row 2 was set aside."""
    more = {"style_tokens": [5, 6, 7, 8, 9, 10]}
    return make_run(tmp_path / "run", pool, {"style": SCORES}, more=more)


@pytest.fixture
def kept(run, tmp_path):
    select(run, Above(0.3) + TopK(2), tmp_path / "kept.jsonl")
    return tmp_path / "kept.jsonl"


def test_every_record_is_accounted_for(kept):
    table = pq.read_table(kept.with_name("kept.jsonl.why") / "records.parquet").to_pylist()
    assert [row["row"] for row in table] == list(range(7))
    assert [row["scar_rank"] for row in table] == [None, 1, None, 2, None, None, None]
    assert [row["scar_stage"] for row in table] == [1, None, None, None, 0, 1, 0]
    assert [row["reason"] for row in table] == [None, None, "invalid_json", None, None, None, None]


def test_the_manifest_counts_in_and_out(kept, pool):
    manifest = KeptFolder.open(kept).manifest
    assert [(stage.rule, stage.came, stage.left) for stage in manifest.stages] == [
        ("Above(x=0.3)", 6, 4),
        ("TopK(k=2)", 4, 2),
    ]
    assert manifest.counts == {"rows": 7, "records": 7, "scored": 6, "set_aside": 1, "kept": 2}
    assert manifest.set_aside == {"invalid_json": 1}
    assert manifest.rules == ({"Above": {"x": 0.3}}, {"TopK": {"k": 2}})
    assert manifest.kept["sha256"] == sha256(kept) and manifest.files[0]["sha256"] == sha256(pool)
    assert manifest.stages[1].facts == {"lowest_kept": 2.0}


def test_two_selections_leave_the_same_bytes(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        select(run, Random(k=3) + TopK(2), tmp_path / name / "kept.jsonl")
    for each in ("manifest.json", "records.parquet"):
        one, other = ((tmp_path / name / "kept.jsonl.why" / each).read_bytes() for name in ("a", "b"))
        assert one == other


def test_a_kept_row_knows_its_places(kept):
    (found,) = why(kept, 3)
    assert (found.rank, found.place, found.scored, found.percentile) == (2, 2, 6, pytest.approx(100 * 3 / 6))
    assert found.verdict == "kept, rank 2" and found.passed == ("Above(x=0.3)", "TopK(k=2)")
    assert found.line == 4 and found.scores == {"style": 2.0, "style_tokens": 7}


def test_the_earlier_row_wins_a_tie_and_the_other_is_told_so(kept):
    (found,) = why(kept, 5)
    assert (found.place, found.verdict) == (3, "dropped by TopK(k=2)")
    assert found.passed == ("Above(x=0.3)",) and found.facts == {"lowest_kept": 2.0}


def test_a_row_without_a_score_says_why(kept):
    (found,) = why(kept, 2)
    assert found.verdict == "set aside: invalid_json" and found.place is None and found.crowded_by is None


def test_who_took_the_place_is_named(run, tmp_path):
    select(run, Chain((Above(0.3), Rival())), tmp_path / "kept.jsonl")
    (found,) = why(tmp_path / "kept.jsonl", 5)
    assert (found.crowded_by.row, found.crowded_by.rank, found.crowded_by.score) == (1, 1, 3.0)
    (found,) = why(tmp_path / "kept.jsonl", 4)
    assert found.dropped_by == "Above(x=0.3)" and found.crowded_by is None


@pytest.mark.parametrize(
    ("row", "part", "message"), [(7, None, "rows are 0 to 6"), (1, "chosen", "no part 'chosen'")]
)
def test_a_row_that_is_not_there_is_an_error(kept, row, part, message):
    with pytest.raises(InputError, match=message):
        why(kept, row, part)


def test_parts_are_explained_one_by_one(tmp_path):
    rows = [{"prompt": "p", "chosen": f"c{n}", "rejected": f"r{n}"} for n in range(3)]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    run = make_run(tmp_path / "run", pool, {"style": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    select(run, TopK(1), tmp_path / "kept.jsonl")
    assert [(found.part, found.rank) for found in why(tmp_path / "kept.jsonl", 2)] == [
        ("chosen", None),
        ("rejected", 1),
    ]
    assert [found.place for found in why(tmp_path / "kept.jsonl", 2, "chosen")] == [2]


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.jsonl.why/records.parquet"])
def test_a_file_that_is_another_one_is_refused(kept, name):
    path = kept.with_name(name) if "/" not in name else kept.parent / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match="not the file that was selected"):
        why(kept, 1)


def test_a_kept_file_alone_says_what_is_missing(kept):
    for path in kept.with_name("kept.jsonl.why").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"manifest.json: missing; `scar select` leaves one beside"):
        why(kept, 1)


def test_a_folder_of_somebody_else_is_left_alone(run, tmp_path):
    (tmp_path / "kept.jsonl.why").mkdir()
    (tmp_path / "kept.jsonl.why" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not of `scar select`"):
        select(run, TopK(1), tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()


def test_another_selection_replaces_both(run, kept):
    select(run, TopK(4), kept, output=Output(overwrite=True))
    assert KeptFolder.open(kept).manifest.counts["kept"] == 4


def test_what_stands_beside_a_kept_file_is_no_pool(kept):
    (kept.parent / "run").rename(kept.parent.parent / "elsewhere")
    assert sorted(file.name for file in find(kept.parent)) == ["kept.jsonl", "pool.jsonl"]


def test_a_fused_order_is_told(pool, tmp_path):
    run = make_run(tmp_path / "two", pool, {"style": SCORES, "quality": SCORES[::-1]})
    by = Fuse("ranks", {"style": 1, "quality": 2})
    select(run, TopK(2), tmp_path / "kept.jsonl", by=by)
    manifest = KeptFolder.open(tmp_path / "kept.jsonl").manifest
    assert manifest.by == {"fuse": "ranks", "of": {"style": 1, "quality": 2}}
    assert why(tmp_path / "kept.jsonl", 0)[0].by == "ranks of style, quality"


def test_the_command_tells_a_person_and_a_machine(kept, capsys):
    assert main(["why", str(kept), "5"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "row 5 (pool.jsonl, line 6): dropped by TopK(k=2)"
    assert "style 2.0000: place 3 of 6, above 50.0 % of them" in said and "lowest_kept 2.0" in said
    assert main(["why", str(kept), "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rank"] == 1
    assert main(["why", str(kept), "70"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


RULES = [
    TopK(3) + Above(0.5, by="quality"),
    PerGroup("source", 2, by=Fuse("rrf", {"a": 1, "b": 2.5}, k=10)),
    MustKeep(["a", "b"]) + Random(tokens=100, seed=7),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_that_is_written_down_reads_back_the_same(rule):
    text = json.dumps({"keep": to_config(rule), "by": "style"})
    back, by = from_config(json.loads(text))
    assert by == "style" and tuple(back.rules) == tuple(getattr(rule, "rules", (rule,)))

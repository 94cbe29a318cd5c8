"""Every checksum and count of a run; with real damage and repairs: tests/faults/test_damage.py."""

import json

import pytest

from scar.errors import RunError
from scar.runs import RUN
from scar.runs.checked import checked
from scar.serving.ledger import done, join_set_aside
from scar.serving.report import write_summary
from scar.serving.verify import repair, verify
from tests.serving.test_ledger import aside, committed, folder, plan_of  # noqa: F401  a fixture


@pytest.fixture
def whole(folder):  # noqa: F811
    """A finished run of two chunks, as a training writes one."""
    committed(folder, 0, [aside(0)], set_aside={"invalid_json": 1})
    committed(folder, 1, scored=1)
    join_set_aside(folder, plan_of())
    counts = done(folder, plan_of()).counts
    write_summary(
        folder,
        {**vars(counts), "seconds": 1.0, "rows_scored": 2, "padding": 0.0, "choice": {}, "versions": {}},
    )
    return folder


def damages(place):
    return [(damage.chunk, damage.what) for damage in verify(place).damaged]


def test_a_whole_run_is_whole(whole):
    found = verify(whole.path)
    assert (found.good, found.missing, found.damaged, found.finished) == (2, 0, (), True)


def test_an_unfinished_run_lacks_chunks_and_nothing_is_damaged(folder):  # noqa: F811
    committed(folder, 1, scored=1)
    found = verify(folder)
    assert (found.good, found.missing, found.damaged, found.finished) == (1, 1, (), False)


@pytest.mark.parametrize(
    "change, what",
    [
        ({"rows": 2}, "counts 2 rows, the plan 1"),
        ({"records": 2}, "do not add up"),
        ({"scored": 0}, "do not add up"),
    ],
)
def test_counts_that_do_not_add_up_are_damage(whole, change, what):
    path = whole.path / "ledger/00000001.json"
    said = json.loads(path.read_bytes())
    said.pop("checksum")
    path.write_bytes(checked(json.dumps({**said, **change}, indent=2)))
    ((chunk, told),) = damages(whole)
    assert chunk == 1 and what in told


def test_a_missing_entry_of_a_finished_run_is_named(whole):
    whole.remove(["ledger/00000001.json"])
    assert damages(whole) == [(1, "ledger/00000001.json is missing")]


def test_run_json_must_count_what_the_chunks_count(whole):
    said = json.loads((whole.path / RUN).read_bytes())
    said.pop("checksum")
    write_summary(whole, {**said, "tokens": 9})
    assert damages(whole) == [(None, "run.json does not count what the chunks count")]


def test_what_a_training_scored_cannot_be_made_anew(whole):
    (whole.path / "chunks/00000000.parquet").write_bytes(b"")
    before = sorted(path.name for path in whole.path.rglob("*"))
    with pytest.raises(RunError, match="those of a training"):
        repair(verify(whole), whole)
    assert sorted(path.name for path in whole.path.rglob("*")) == before

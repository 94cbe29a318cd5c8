"""Settle a run folder: go on, begin anew, refuse, clear."""

import json
import shutil

import pytest

from scar.bundle import MANIFEST, TOKENIZER, seal
from scar.errors import InputError
from scar.runs import PLAN, RUN, SET_ASIDE, Disk, Plan
from scar.runs.checked import checked
from scar.serving.job import Job
from scar.serving.plan import check_run, clear, differing, remedy, settle
from scar.settings import Reading, Scoring
from tests.make import pool_rows, write_jsonl
from tests.serving.made import remade
from tests.serving.test_ledger import FINGERPRINT, aside, committed, files, plan_of


@pytest.mark.parametrize(
    "changed, named",
    [
        ({}, None),
        ({"graph": "other.onnx"}, "graph"),
        ({"pool": 3}, "pool"),
        ({"more": 1}, "more"),
        ({"pool": {}}, "pool.a.jsonl"),
        ({"pool": {"a.jsonl": "00", "b.jsonl": "11"}}, "pool.b.jsonl"),
    ],
)
def test_the_field_that_differs_is_named_with_its_path(changed, named):
    assert differing(FINGERPRINT, {**FINGERPRINT, **changed}) == named


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "pool").mkdir()
    for name in "ab":
        write_jsonl(tmp_path / "pool" / f"{name}.jsonl", pool_rows(6, seed=name))
    return tmp_path / "pool"


@pytest.fixture
def job(pool, bundle):
    return lambda where=pool, ranker=bundle, reading=None, **scoring: Job.of(
        where, ranker, reading, Scoring(**{"chunk_rows": 4, **scoring})
    )


@pytest.fixture
def folder(tmp_path, job):
    folder = Disk(tmp_path / "run")
    settle(folder, job(), "resume")
    return folder


def test_a_plan_read_back_is_the_same_plan(folder, job):
    plan = job().plan()
    assert Plan.read(folder) == plan and differing(Plan.read(folder).fingerprint, plan.fingerprint) is None
    assert [(c.index, c.file, c.row, c.rows) for c in plan.chunks] == [
        (0, "a.jsonl", 0, 4),
        (1, "a.jsonl", 4, 2),
        (2, "b.jsonl", 6, 4),
        (3, "b.jsonl", 10, 2),
    ]


def test_equal_jobs_write_equal_plans(folder, job, tmp_path):
    settle(Disk(tmp_path / "other"), job(threads=1), "resume")
    assert (tmp_path / "other" / PLAN).read_bytes() == (folder.path / PLAN).read_bytes()


def test_the_same_run_goes_on_and_keeps_what_is_done(folder, job):
    committed(folder, 0)
    before = files(folder)
    assert settle(folder, job(), "resume") == Plan.read(folder)
    assert files(folder) == before


@pytest.mark.parametrize(
    "change, field",
    [
        (lambda job, pool, tmp_path: job(chunk_rows=5), "scoring.chunk_rows"),
        (lambda job, pool, tmp_path: job(batch_tokens=99), "ranker.style.batch_tokens"),
        (lambda job, pool, tmp_path: job(carry=("source",)), "scoring.carry"),
        (lambda job, pool, tmp_path: job(reading=Reading(format="plain")), "reading.format"),
        (lambda job, pool, tmp_path: job(where=pool / "a.jsonl"), "pool.b.jsonl"),
        (lambda job, pool, tmp_path: job(graph="reference"), "ranker.style.graph"),
    ],
)
def test_another_run_is_refused_by_its_field(folder, job, pool, tmp_path, change, field):
    with pytest.raises(InputError, match=rf"holds another run: {field} differs"):
        settle(folder, change(job, pool, tmp_path), "resume")


def test_another_ranker_or_tokenizer_is_refused_by_its_file(folder, job, bundle, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    (other / TOKENIZER).write_bytes((other / TOKENIZER).read_bytes() + b"\n")
    (other / MANIFEST).unlink()
    seal(other)
    with pytest.raises(InputError, match=r"ranker.style.files.tokenizer.json differs"):
        settle(folder, job(ranker=other), "resume")
    with pytest.raises(InputError, match=r"ranker.style.files.ranker.json differs"):
        settle(folder, job(ranker=remade(bundle, tmp_path / "third", seed=99)), "resume")


@pytest.mark.parametrize("length", ["longer", "same"])
def test_a_pool_file_that_changed_is_refused_by_its_name(folder, job, pool, length):
    old = (pool / "b.jsonl").read_bytes()
    (pool / "b.jsonl").write_bytes(old + old if length == "longer" else old.replace(b"what", b"that"))
    with pytest.raises(InputError, match=r"pool.b.jsonl differs"):
        settle(folder, job(), "resume")


def test_a_pool_file_that_was_only_touched_is_the_same(folder, job, pool):
    (pool / "b.jsonl").write_bytes((pool / "b.jsonl").read_bytes())
    assert settle(folder, job(), "resume") == Plan.read(folder)


def test_a_pool_is_not_hashed_again_where_nothing_touched_it(folder, job, pool, monkeypatch):
    monkeypatch.setattr("scar.pools.places.sha256", lambda path: pytest.fail("hashed again"))
    settle(folder, job(), "resume")
    (folder.path / ".inputs.json").write_text("damaged")
    with pytest.raises(pytest.fail.Exception, match="hashed again"):
        settle(folder, job(), "resume")


def test_another_run_is_replaced_where_that_is_wanted(folder, job):
    committed(folder, 0)
    for existing in ("replace another", "replace"):
        settle(folder, job(), existing)
        assert "ledger/00000000.json" in files(folder), "the same run, unfinished, goes on"
    (folder.path / RUN).write_text("{}")
    settle(folder, job(), "replace another")
    assert "ledger/00000000.json" in files(folder)
    settle(folder, job(), "replace")
    assert files(folder) == [".inputs.json", PLAN]
    committed(folder, 0)
    assert settle(folder, job(chunk_rows=3), "replace another") == Plan.read(folder)
    assert files(folder) == [".inputs.json", PLAN] and len(Plan.read(folder).chunks) == 4


def test_what_a_kill_left_half_written_is_gone(folder, job):
    for name in ("chunks/.00000000.parquet.tmp", "ledger/.00000000.json.tmp", ".run.json.tmp"):
        (folder.path / name).write_bytes(b"half")
    settle(folder, job(), "resume")
    assert files(folder) == [".inputs.json", PLAN]


def test_a_folder_that_is_no_run_is_never_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not a run"):
        check_run(Disk(tmp_path))
    with pytest.raises(InputError, match="is a file"):
        check_run(Disk(tmp_path / "thesis.tex"))
    (tmp_path / "other" / "notes").mkdir(parents=True)
    with pytest.raises(InputError, match="not a run"):
        check_run(Disk(tmp_path / "other"))


def test_a_run_of_an_earlier_version_is_told(folder, job):
    (folder.path / PLAN).write_text(json.dumps({"format": 1}))
    with pytest.raises(InputError, match="not a plan of this version"):
        settle(folder, job(), "resume")


@pytest.mark.parametrize(
    "forged",
    [
        '{"files": ' + "[" * 99_999 + "]" * 99_999 + "}",
        '{"chunk_columns": 7, "files": []}',
        '{"chunk_columns": [], "files": [[]]}',
        '{"chunk_columns": ["file"], "files": {}, "chunks": [["x"]]}',
        '{"chunk_columns": [], "files": [], "chunks": [[]]}',
        '{"chunk_columns": [], "files": [], "chunks": [], "pool": 7}',
    ],
)
def test_a_forged_plan_with_a_right_checksum_is_one_line(folder, forged):
    (folder.path / PLAN).write_bytes(checked(forged))
    with pytest.raises(InputError, match="plan.json: (damaged|not the plan of a run)"):
        Plan.read(folder)


def test_a_training_s_run_is_told(folder, job):
    plan_of().write(folder)
    with pytest.raises(InputError, match="its maker, a training, differs"):
        settle(folder, job(), "resume")


def test_clearing_deletes_what_the_plan_lists_and_nothing_else(folder):
    for index in (0, 1):
        committed(folder, index, [aside(index)])
    for name in (RUN, SET_ASIDE):
        (folder.path / name).write_text("{}")
    foreign = ["chunks/00000009.parquet", "chunks/notes.txt", "mine.txt"]
    for name in foreign:
        (folder.path / name).write_text("precious")
    clear(folder)
    assert files(folder) == foreign
    assert not (folder.path / "set_aside").exists() and not (folder.path / "ledger").exists()


def test_clearing_a_run_of_our_own_leaves_an_empty_folder(folder):
    committed(folder, 0)
    clear(folder)
    assert list(folder.path.iterdir()) == []


WAS = {"engine": "openvino", "precision": "bf16", "batch_tokens": 512, "files": {"ranker.json": "1"}}


@pytest.mark.parametrize(
    "field, rankers, told",
    [
        ("ranker.style.engine", {"style": WAS}, "--engine openvino --precision bf16 goes on with it"),
        ("ranker.style.batch_tokens", {"style": WAS}, "--batch_tokens 512 goes on with it"),
        (
            "ranker.my.style.precision",
            {"my.style": WAS},
            "--engine openvino --precision bf16 goes on with it",
        ),
        ("ranker.style.engine", {"style": WAS, "other": WAS}, None),  # a flag is for all rankers
        ("ranker.style.engine", {"style": {}}, None),
        ("ranker.style.files.ranker.json", {"style": WAS}, None),
        ("ranker.style", {"style": 1}, None),
        ("ranker", {}, None),
        ("versions.numpy", {}, "Install numpy==1"),
        ("versions.other", {}, "Run it where there is no other"),
        ("versions", {}, None),
        ("pool.a.jsonl", {}, None),
    ],
)
def test_what_goes_on_with_a_run_all_the_same_is_told_where_there_is_such(field, rankers, told):
    fingerprint = {"ranker": rankers, "versions": {"numpy": "1"}}
    assert remedy(Plan((), (), (), (), fingerprint, (), {}), field) == told

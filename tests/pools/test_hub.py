"""Names of the Hub, without a Hub: what is taken for one, and what is said where it cannot be reached."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.errors import InputError
from scar.pools import find, recorded, rows_of
from scar.pools.hub import Split, parse
from tests.files import write_as
from tests.make import pool_rows, read_jsonl
from tests.pools.blocked import refused
from tests.pools.hub_server import hub

pytest.importorskip("datasets")

SHUT = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/name", Split("org/name", None, None, "train")),
        ("org/name:test", Split("org/name", None, None, "test")),
        ("org/name:en:test", Split("org/name", None, "en", "test")),
        ("org/name@v1.0", Split("org/name", "v1.0", None, "train")),
        (
            "org/na-me.x@refs/convert/parquet:en:test",
            Split("org/na-me.x", "refs/convert/parquet", "en", "test"),
        ),
    ],
)
def test_a_name_says_revision_config_and_split(name, expected):
    assert parse(name) == expected
    assert recorded(name) == (name,)


@pytest.mark.parametrize("name", ["org/name:a:b:c", "@x", "org/name@"])
def test_a_name_that_is_none_shows_how_one_is_written(name):
    with pytest.raises(InputError, match=r"org/name\[@revision\]"):
        parse(name)


def test_a_hub_that_cannot_be_reached_and_a_file_that_is_not_here_are_one_line():
    message = refused("no-such-org/no-such-name", **SHUT)
    assert "no-such-org/no-such-name: no such file, folder or glob here" in message
    assert "not to be had from the Hub" in message
    assert len(message.splitlines()) == 1


def test_a_hub_that_is_switched_off_is_one_line():
    message = refused("no-such-org/no-such-name", HF_HUB_OFFLINE="1")
    assert "no such file, folder or glob here, and not to be had from the Hub" in message


@pytest.mark.parametrize(
    "place", ["tests/nothing", "tests/none.jsonl", "nowhere/x.jsonl", "./a/b", "/a/b", "a/b/c"]
)
def test_what_looks_like_a_path_never_goes_to_the_network(place):
    assert refused(place, offline=True) == f"{place}: no such file, folder or glob"


def test_without_datasets_the_extra_is_named():
    message = refused("org/name", without=["datasets"], offline=True)
    assert "org/name: no such file here" in message and "pip install 'scar-rank[hub]'" in message


def test_a_split_that_is_not_there_is_an_error_that_names_the_data_set(tmp_path):
    (file,) = write_as("hub", tmp_path, pool_rows(2))
    missing = Split(file.store.repo, None, None, "nosuch")
    with pytest.raises(InputError, match="the data set cannot be read.*nosuch"):
        missing.schema()


def test_the_types_of_a_streamed_split_are_those_of_its_files(tmp_path):
    rows = [{**row, "n": 2**60 + 1, "meta": {"a": [1.5]}} for row in pool_rows(2500)]
    (file,) = write_as("hub", tmp_path, rows)
    assert file.store.schema().field("meta").type == pa.struct([("a", pa.list_(pa.float64()))])
    read = list(rows_of([file]))
    assert [row.decode() for row in read] == rows
    assert [row.address.line for row in read[-1:]] == [2500]


def test_a_commit_is_what_changes_with_the_data_set(tmp_path):
    assert Split("a/b", "abc", None, "train").facts("a/b") == (0, "revision:abc")
    with pytest.raises(InputError, match="a/b"):
        Split("a/b", "abc", None, "train").open("a/b")


def test_a_mistyped_folder_is_no_name_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="data/pool: no such file, folder or glob$"):
        find("data/pool")


def test_a_file_that_the_library_cannot_read_on_with_names_the_data_set(tmp_path):
    # Not broken JSON: pyarrow's own reader of it, with several threads, can crash the process on that.
    for number, asked in enumerate(["text", {"a": [1]}]):
        rows = [{"instruction": asked, "response": "x"}] * 3000
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"data-{number}.parquet")
    tables = Split(str(tmp_path), None, None, "train").tables()
    assert next(tables).num_rows > 0
    with pytest.raises(InputError, match="the data set cannot be read"):
        list(tables)


def scar(endpoint, *arguments):
    """Run a command in a process of its own: the Hub's address is read when its library is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-m", "scar", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.slow
def test_score_and_select_by_name_at_a_commit(bundle, tmp_path):
    rows = [{**row, "n": 2**60 + 1} for row in pool_rows(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with hub((tmp_path / "rows.parquet").read_bytes()) as (state, endpoint):
        done = scar(endpoint, "score", "org/name", "--ranker", bundle, "--out", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert "5 records: 5 scored" in done.stdout and "taken from the Hub at aaaaaa" in done.stderr
        plan = json.loads((tmp_path / "run" / "plan.json").read_text())
        place = f"org/name@{'a' * 40}:train"
        assert (plan["pool"], plan["files"][0]["sha256"]) == ([place], "revision:" + "a" * 40)
        state.commit = "b" * 40
        select = ("select", tmp_path / "run", "--top", "5", "--no-added-columns", "--out")
        moved = scar(endpoint, *select, tmp_path / "k.jsonl", "--pool", "org/name")
        assert moved.returncode == 2 and "changed since it was scored" in moved.stderr
        for out in ("k.jsonl", "k.parquet"):
            kept = scar(endpoint, *select, tmp_path / out)
            assert kept.returncode == 0, kept.stderr
    assert read_jsonl(tmp_path / "k.jsonl") == pq.read_table(tmp_path / "k.parquet").to_pylist() == rows


@pytest.mark.slow
def test_a_data_set_whose_file_is_gone_is_one_line(bundle, tmp_path):
    with hub(b"PAR1" * 500) as (state, endpoint):
        state.gone = True
        done = scar(endpoint, "score", "org/name", "--ranker", bundle, "--out", tmp_path / "run")
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("scar: error")]
    assert len(errors) == 1 and errors[0].startswith("scar: error: org/name: the data set cannot be read: ")
    assert "Traceback" not in done.stderr

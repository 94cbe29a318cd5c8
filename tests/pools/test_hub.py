"""Names of the Hub, without a Hub: what is taken for one, and what is said where it cannot be reached."""

import pyarrow as pa
import pytest

from scar.errors import InputError
from scar.pools import find, recorded, rows_of
from scar.pools.hub import Split, parse
from tests.files import write_as
from tests.make import pool_rows
from tests.pools.blocked import refused

pytest.importorskip("datasets")

SHUT = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("org/name", Split("org/name", None, None, "train")),
        ("org/name:test", Split("org/name", None, None, "test")),
        ("org/name:en:test", Split("org/name", None, "en", "test")),
        ("org/name@v1.0", Split("org/name", "v1.0", None, "train")),
        ("org/na-me.x@refs/convert/parquet:en:test", Split("org/na-me.x", "refs/convert/parquet", "en", "test")),
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


@pytest.mark.parametrize("place", ["tests/nothing", "tests/none.jsonl", "nowhere/x.jsonl", "./a/b", "/a/b", "a/b/c"])
def test_what_looks_like_a_path_never_goes_to_the_network(place):
    assert refused(place, offline=True) == f"{place}: no such file, folder or glob"


def test_without_datasets_the_extra_is_named():
    message = refused("org/name", without=["datasets"], offline=True)
    assert "org/name: no such file here" in message and "pip install 'scar-rank[hub]'" in message


def test_a_split_that_is_not_there_is_an_error_that_names_the_data_set(tmp_path):
    (file,) = write_as("hub", tmp_path, pool_rows(2))
    missing = Split(file.store.repo, None, None, "nosuch")
    with pytest.raises(InputError, match="the data set cannot be opened.*nosuch"):
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

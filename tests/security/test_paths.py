"""Names that come from data never become paths elsewhere, and links in folders of ours lead nowhere."""

import json
import os
import shutil
from pathlib import Path

import pytest

from scar.bundle import MANIFEST, RANKER, Bundle, seal
from scar.cli import main
from scar.errors import InputError
from scar.files import atomic
from scar.pools import find, read_pool
from scar.runs import PLAN
from tests.make import pool_rows, read_jsonl, tiny_classifier, write_jsonl

NAMES = [
    "../x",
    "..",
    ".",
    "",
    "/etc/hostname",
    "~",
    "~/x",
    "a/b",
    "a\\b",
    "..\\x",
    "C:\\x",
    "C:x",
    "a\0b",
    "\n",
    "x" * 5_000,
]


@pytest.fixture
def outside(tmp_path):
    """A folder that is none of anybody's business; it must stay as it is."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    for name in ("x", ".x.tmp", ".00000000.parquet.tmp", "00000000.parquet", "00000000.json", "deep/.y.tmp"):
        (folder / name).write_text("precious")
    before = state(folder)
    yield folder
    assert state(folder) == before


def state(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def refused(capsys, *words):
    assert main([str(word) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    return line


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_names_files_of_its_own_folder(name, bundle, outside, tmp_path):
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    shutil.copyfile(copy / RANKER, tmp_path / "x")
    manifest = json.loads((copy / MANIFEST).read_bytes())
    manifest["files"][name] = manifest["files"][RANKER]
    (copy / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError):
        Bundle.open(copy)


@pytest.mark.parametrize("name", [*NAMES, "a b", "9a", "a-b", "\x1b[31mred", "[red]x", "a" * 101, "名"])
def test_the_name_of_a_ranker_is_no_path_and_no_markup(name, bundle, tmp_path):
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    (copy / RANKER).write_text(json.dumps(json.loads((copy / RANKER).read_bytes()) | {"name": name}))
    seal(copy)
    with pytest.raises(InputError, match="name is"):
        Bundle.open(copy)


@pytest.fixture
def begun(bundle, tmp_path):
    """A finished run, and the command that made it."""
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(9))
    words = ["score", str(pool), "--ranker", str(bundle), "--out", str(tmp_path / "run"), "--chunk_rows", "3"]
    assert main(words) == 0
    return tmp_path / "run", words


@pytest.mark.parametrize("room", ["chunks", "ledger", "set_aside"])
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_room_of_a_run_that_is_a_link_is_refused_and_nothing_behind_it_touched(
    room, more, begun, outside, capsys
):
    run, words = begun
    (run / "run.json").unlink()  # a finished run is not written to at all
    shutil.rmtree(run / room)
    (run / room).symlink_to(outside)
    assert "a link; a run folder holds its own folders" in refused(capsys, *words, *more)
    assert main(["verify", str(run)]) == 2


@pytest.mark.parametrize(
    "name", [".lock", ".plan.json.tmp", ".run.json.tmp", "chunks/.00000000.parquet.tmp", ".inputs.json.tmp"]
)
def test_a_link_in_the_place_of_a_file_to_be_written_does_not_write_behind_it(name, begun, outside, capsys):
    run, words = begun
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(outside / "x")
    assert main([*words, "--overwrite"]) == (2 if name == ".lock" else 0)


def test_a_file_of_any_command_is_not_written_through_a_link(outside, tmp_path):
    (tmp_path / ".kept.jsonl.tmp").symlink_to(outside / "x")
    (tmp_path / "kept.jsonl").symlink_to(outside / "x")
    with atomic(tmp_path / "kept.jsonl") as stream:
        stream.write(b"new")
    assert (tmp_path / "kept.jsonl").read_bytes() == b"new" and not (tmp_path / "kept.jsonl").is_symlink()


@pytest.mark.parametrize("how", ["more chunks", "names", "negative", "huge"])
def test_a_plan_deletes_nothing_but_what_is_named_by_number(how, begun, outside, capsys):
    run, words = begun
    plan = json.loads((run / PLAN).read_bytes())
    if how == "more chunks":
        plan["chunks"] *= 1_000
    elif how == "names":
        plan["files"][0]["name"] = "../../outside/x"
        plan["rankers"] = ["../../outside/x"]
    else:
        plan["chunks"][0] = [-1 if how == "negative" else 10**18] * len(plan["chunks"][0])
    (run / PLAN).write_text(json.dumps(plan))
    (run / "mine.txt").write_text("kept")
    code = main([*words, "--overwrite"])
    assert code in (0, 2) and (run / "mine.txt").read_text() == "kept"
    assert code == 0 or "damaged" in capsys.readouterr().err


def saved(folder, names):
    """Save rows as the `datasets` library does, its state naming given files."""
    import pyarrow as pa

    folder.mkdir()
    table = pa.table({"instruction": ["a"], "response": ["b"]})
    with (
        pa.OSFile(str(folder / "data.arrow"), "wb") as stream,
        pa.ipc.new_stream(stream, table.schema) as writer,
    ):
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


@pytest.mark.parametrize("name", ["../outside/x", "/etc/hostname", "..", "a\0b", "deep/data.arrow", 7, None])
def test_a_saved_data_set_names_files_of_its_own_folder(name, tmp_path, outside):
    with pytest.raises(InputError):
        find(saved(tmp_path / "set", ["data.arrow", name]))


@pytest.mark.parametrize("state", ["[" * 100_000, "[]", '{"_data_files": 7}', '{"_data_files": [[]]}'])
def test_a_saved_data_set_whose_state_is_none_is_refused(state, tmp_path):
    (saved(tmp_path / "set", []) / "state.json").write_text(state)
    with pytest.raises(InputError, match="not the state of a saved data set"):
        find(tmp_path / "set")


def test_links_in_a_pool_are_read_and_told_but_folders_behind_links_are_not(tmp_path, caplog):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_jsonl(elsewhere / "b.jsonl", pool_rows(2))
    pool = tmp_path / "pool"
    pool.mkdir()
    write_jsonl(pool / "a.jsonl", pool_rows(3))
    (pool / "inner.jsonl").symlink_to(pool / "a.jsonl")
    with caplog.at_level("INFO", "scar"):
        assert len(list(read_pool(pool))) == 6 and not caplog.messages
        (pool / "b.jsonl").symlink_to(elsewhere / "b.jsonl")
        (pool / "folder").symlink_to(elsewhere)
        (pool / "gone.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
        (pool / "around").symlink_to(pool)
        assert len(list(read_pool(pool))) == 8
    (told,) = caplog.messages
    assert f"1 files are links out of the folder, and are read: {pool / 'b.jsonl'} -> " in told


@pytest.mark.parametrize("name", ["pipe.jsonl", "socket.jsonl"])
def test_a_pipe_in_a_pool_does_not_hold_it_up(name, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", pool_rows(3))
    os.mkfifo(tmp_path / name)
    assert len(list(read_pool(tmp_path))) == 3


@pytest.mark.parametrize("name", ["../../../../evil", "/tmp/evil", "a/b", ""])
def test_a_chat_template_is_not_written_under_a_name_of_its_own(name, tmp_path, outside, capsys):
    checkpoint = tiny_classifier(tmp_path / "classifier")
    path = checkpoint / "tokenizer_config.json"
    templates = [{"name": name, "template": "x"}, {"name": "default", "template": "y"}]
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"chat_template": templates}))
    before = {path.name for path in tmp_path.iterdir()}
    assert "is not the name of a chat template" in refused(
        capsys, "import", checkpoint, "--out", tmp_path / "out"
    )
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_export_to_a_hub_folder_writes_into_no_other_folder(bundle, outside, tmp_path, capsys):
    (tmp_path / "linked").symlink_to(outside)
    for out in (outside, tmp_path / "linked", tmp_path / "outside" / ".." / "outside"):
        assert "holds more than a folder of ours" in refused(
            capsys, "export", bundle, "--to-hub-folder", out, "--overwrite"
        )


def test_ids_and_groups_that_look_like_paths_are_values(bundle, outside, tmp_path):
    rows = [row | {"id": "../outside/x", "source": "../../outside"} for row in pool_rows(4)]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    words = [
        "filter",
        str(pool),
        "--ranker",
        str(bundle),
        "--out",
        str(tmp_path / "kept.jsonl"),
        "--per-group",
        "source=2",
    ]
    assert main(words) == 0
    assert [row["id"] for row in read_jsonl(tmp_path / "kept.jsonl")] == ["../outside/x"] * 2

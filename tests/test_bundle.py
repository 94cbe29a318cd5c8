"""A bundle opens only as it was written."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scar.bundle import MANIFEST, RANKER, Bundle, changing, new_bundle, score_columns, seal, verify
from scar.errors import InputError
from scar.files import sha256, write_json


@pytest.fixture
def folder(tmp_path):
    with new_bundle(tmp_path / "ranker", overwrite=False) as temp:
        write_json(temp / RANKER, {"format": 1, "name": "style", "kind": "style"})
        (temp / "model.safetensors").write_bytes(b"0123456789")
    return tmp_path / "ranker"


def manifest(folder, change):
    value = json.loads((folder / MANIFEST).read_bytes())
    change(value)
    write_json(folder / MANIFEST, value)


def test_a_sealed_folder_opens(folder):
    bundle = Bundle.open(folder)
    assert (bundle.name, bundle.kind, bundle.gates()) == ("style", "style", [])
    assert bundle.digest(RANKER) == {RANKER: sha256(folder / RANKER)}


@pytest.mark.parametrize(
    "ranker, columns",
    [
        ({"name": "style", "kind": "style"}, ["style", "style_tokens"]),
        ({"name": "s", "kind": "style", "calibration": None}, ["s", "s_tokens"]),
        (
            {
                "name": "q",
                "kind": "quality",
                "calibration": {"percentile": {"x": 1}, "probability": {"x": 1}},
            },
            ["q", "q_tokens", "q_p", "q_percentile"],
        ),
        ({"name": "q", "kind": "quality", "calibration": {"probability": None}}, ["q", "q_tokens"]),
        ({"name": "new", "kind": "unseen"}, ["new", "new_tokens", "p_seen"]),
        (
            {
                "name": "new",
                "kind": "unseen",
                "calibration": {"percentile": {"x": 1}, "probability": {"x": 1}},
            },
            ["new", "new_tokens", "new_percentile", "p_seen"],
        ),
    ],
)
def test_a_ranker_gives_its_score_and_what_it_is_calibrated_to(folder, ranker, columns):
    assert score_columns(ranker) == Bundle(folder, ranker).columns() == columns


def test_the_manifest_lists_every_file_but_itself_and_hidden_ones(folder):
    (folder / ".hidden").touch()
    seal(folder)
    files = json.loads((folder / MANIFEST).read_bytes())["files"]
    assert sorted(files) == ["model.safetensors", RANKER]
    assert files["model.safetensors"]["bytes"] == 10


def test_a_folder_that_is_not_there_is_no_bundle(tmp_path):
    with pytest.raises(InputError, match="nothing: no such bundle.*scar train"):
        Bundle.open(tmp_path / "nothing")


def test_a_folder_without_a_manifest_is_no_bundle(folder):
    (folder / MANIFEST).unlink()
    with pytest.raises(InputError, match="manifest.json: missing"):
        Bundle.open(folder)


@pytest.mark.parametrize("damaged", ["{}", "[]", '{"files": null}', '{"files": {}}', "{"])
def test_a_damaged_manifest_is_named(folder, damaged):
    (folder / MANIFEST).write_text(damaged)
    with pytest.raises(InputError, match="manifest.json"):
        Bundle.open(folder)


def test_a_missing_file_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="model.safetensors: missing"):
        verify(folder)


@pytest.mark.parametrize("altered", [b"012345678", b"0123456780", b"01234567890", b""])
def test_a_file_with_an_altered_byte_or_length_is_named(folder, altered):
    (folder / "model.safetensors").write_bytes(altered)
    with pytest.raises(InputError, match="model.safetensors: altered"):
        verify(folder)


def test_the_checksum_alone_tells_an_alteration_of_the_same_size(folder):
    before = (folder / "model.safetensors").stat().st_size
    (folder / "model.safetensors").write_bytes(b"0123456789"[::-1])
    assert (folder / "model.safetensors").stat().st_size == before
    with pytest.raises(InputError, match="altered"):
        verify(folder)


@pytest.mark.parametrize("name", ["../outside", "sub/inside", "/outside", "..", "."])
def test_a_manifest_reaches_no_file_outside_its_folder(folder, name):
    outside = folder.parent / "outside"
    outside.write_bytes(b"x")
    facts = {"sha256": sha256(outside), "bytes": 1}
    manifest(folder, lambda value: value["files"].update({name: facts}))
    with pytest.raises(InputError, match="not a file of this folder|missing from the bundle"):
        verify(folder)


def test_another_bundle_format_is_refused_with_both_numbers(folder):
    write_json(folder / RANKER, {"format": 99})
    seal(folder)
    with pytest.raises(InputError, match="format 99; this version reads 1"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    "ranker, told",
    [
        ([], "ranker.json: not an object"),
        ({"format": 1, "kind": ["style"], "name": "s"}, r"kind \['style'\]; this version knows style"),
        ({"format": 1, "kind": "taste", "name": "s"}, "kind 'taste'; this version knows style"),
        ({"format": 1, "kind": "style"}, "name is None, not the name of a column"),
        ({"format": 1, "kind": "style", "name": 7}, "name is 7"),
        ({"format": 1, "kind": "style", "name": ""}, "name is ''"),
    ],
)
def test_a_ranker_json_that_is_none_is_told_in_a_line(folder, ranker, told):
    write_json(folder / RANKER, ranker)
    seal(folder)
    with pytest.raises(InputError, match=told):
        Bundle.open(folder)


@pytest.mark.parametrize("facts", [None, [], {"bytes": 10}])
def test_a_manifest_without_the_checksum_of_a_file_is_refused(folder, facts):
    manifest(folder, lambda value: value["files"].update({"model.safetensors": facts}))
    with pytest.raises(InputError, match="no size and checksum of model.safetensors"):
        Bundle.open(folder)


def test_a_change_ends_with_a_new_manifest(folder):
    with changing(Bundle.open(folder)) as change:
        write_json(change.folder / "gates.json", {"records": [{"passed": True}]})
    assert Bundle.open(folder).gates() == [{"passed": True}]


def test_two_changes_at_once_come_one_after_the_other(folder):
    """Each adds to what is there; none that waited drops what came meanwhile."""

    def add(number):
        with changing(Bundle.open(folder)) as change:
            records = [*Bundle(folder, {}).gates(), {"passed": True, "graph": str(number)}]
            time.sleep(0.01)
            write_json(change.folder / "gates.json", {"records": records})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(8)))
    assert sorted(record["graph"] for record in Bundle.open(folder).gates()) == [*"01234567"]


def test_a_ranker_that_took_another_s_place_is_not_changed(folder):
    opened = Bundle.open(folder)
    with new_bundle(folder, overwrite=True) as temp:
        write_json(temp / RANKER, {"format": 1, "name": "other", "kind": "style"})
    with pytest.raises(InputError, match="another ranker took its place"), changing(opened) as change:
        write_json(change.folder / "gates.json", {"records": []})
    assert Bundle.open(folder).name == "other" and not Bundle.open(folder).has("gates.json")


def test_an_accident_in_a_change_leaves_the_bundle_as_it_was(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyError), changing(Bundle.open(folder)) as change:
        write_json(change.folder / "gates.json", {"records": []})
        change.removed.add(RANKER)
        raise KeyError
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    Bundle.open(folder)


def test_a_change_does_not_bless_what_was_altered_meanwhile(folder):
    with changing(Bundle.open(folder)) as change:
        write_json(change.folder / "gates.json", {"records": []})
        (folder / RANKER).write_text("{}")
    with pytest.raises(InputError, match="ranker.json: altered"):
        Bundle.open(folder)


def test_a_folder_of_the_users_is_not_replaced_by_a_bundle(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("all of it")
    with pytest.raises(InputError, match="not a bundle"), new_bundle(tmp_path / "thesis", overwrite=True):
        pass
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "all of it"


def test_an_accident_while_a_bundle_is_built_leaves_none(tmp_path):
    with pytest.raises(KeyError), new_bundle(tmp_path / "ranker", overwrite=False) as temp:
        write_json(temp / RANKER, {"format": 1})
        raise KeyError
    assert list(tmp_path.iterdir()) == []

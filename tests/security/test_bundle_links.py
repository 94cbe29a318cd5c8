"""A bundle from elsewhere: a change that it says is under way is looked at before it is acted on."""

import json

import pytest

from scar.bundle import MANIFEST, Bundle, changing
from scar.change import PENDING
from scar.errors import InputError
from tests.test_bundle import folder  # noqa: F401


def test_a_link_to_a_folder_is_no_pending_change(folder, tmp_path):  # noqa: F811
    bundle = Bundle.open(folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("all of it")
    (tmp_path / "thesis" / MANIFEST).write_text(json.dumps({"files": {}}))
    (folder / PENDING).symlink_to(tmp_path / "thesis")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError, match="changed: a link"):
        Bundle.open(folder)
    with pytest.raises(InputError, match="changed: a link"), changing(bundle):
        pass
    assert sorted(path.name for path in folder.iterdir()) == before
    assert {path.name for path in (tmp_path / "thesis").iterdir()} == {"chapter.txt", MANIFEST}


@pytest.mark.parametrize("text", ["[]", "7", '{"files": []}', '{"files": null}', "{}"])
@pytest.mark.parametrize("whose", ["old", "new"])
def test_a_manifest_without_files_is_told_before_the_change_goes_on(folder, text, whose):  # noqa: F811
    (folder / PENDING).mkdir()
    new = folder / PENDING / MANIFEST
    new.write_text(text if whose == "new" else (folder / MANIFEST).read_text())
    if whose == "old":
        (folder / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="does not list files"):
        Bundle.open(folder)


def test_a_manifest_takes_out_no_file_beyond_its_folder(folder):  # noqa: F811
    outside = folder.parent / "outside"
    outside.write_text("mine")
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / PENDING).mkdir()
    (folder / PENDING / MANIFEST).write_text(json.dumps(manifest))
    manifest["files"] |= {"../outside": {}, "..": {}, ".": {}, "": {}, str(outside): {}}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    Bundle.open(folder)
    assert outside.read_text() == "mine"

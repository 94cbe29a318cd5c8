"""What a selection leaves, and the embeddings it read: written by a stranger, they are read or refused in a line."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.cli import main
from scar.errors import InputError
from scar.report.page import report
from scar.runs import Disk, Plan, data_name, read_columns, sidecar_columns
from scar.runs.checked import checked, read_checked
from scar.selection.why import why, why_folder
from scar.selection.why.folder import RECORDS
from scar.selection.why.manifest import MANIFEST
from tests.make import pool_rows, write_jsonl
from tests.security.test_settings_files import MOST, tried, written

ROWS = 9
RULES = "keep:\n- SemanticDuplicates: {cosine: 0.999}\n- PerGroup: {column: source, n: 3}\n- TopK: {k: 2}\n"


@pytest.fixture(scope="module")
def made(bundle, tmp_path_factory):
    """A run with embeddings, and a selection from it."""
    folder = tmp_path_factory.mktemp("kept")
    rows = [row | {"source": "ab"[n % 2], "tags": [n, {"a": n}]} for n, row in enumerate(pool_rows(ROWS))]
    pool = write_jsonl(folder / "pool.jsonl", rows)
    written(folder, "rules.yaml", RULES)
    words = ["--ranker", str(bundle), "--chunk_rows", "4", "--carry", "source,tags", "--embeddings"]
    assert main(["score", str(pool), "--out", str(folder / "run"), *words]) == 0
    words = ["--rules", str(folder / "rules.yaml"), "--out", str(folder / "kept.jsonl")]
    assert main(["select", str(folder / "run"), *words]) == 0
    return folder


@pytest.fixture
def kept(made, tmp_path):
    """A copy of what the selection left."""
    shutil.copytree(made / "kept.jsonl.why", tmp_path / "kept.jsonl.why")
    return Path(shutil.copy(made / "kept.jsonl", tmp_path))


def asked(kept):
    why(kept, 0)
    why(kept, ROWS - 1)
    report(str(kept), kept.with_suffix(".html"), overwrite=True)


@pytest.mark.slow
def test_whatever_value_of_a_manifest_of_what_was_kept_is_changed(kept, monkeypatch):
    monkeypatch.setattr("tests.security.test_settings_files.MOST", min(MOST, 101))
    assert tried(lambda: asked(kept), why_folder(kept) / MANIFEST) > 100


def manifest(kept, change):
    """Change the manifest; what its checksums say is true again."""
    path = why_folder(kept) / MANIFEST
    told = json.loads(path.read_bytes())
    told["records"]["sha256"] = hashlib.sha256((why_folder(kept) / RECORDS).read_bytes()).hexdigest()
    change(told)
    path.write_text(json.dumps(told))


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


CHANGES = {
    "no ranker": (lambda told: told.update(rankers=[]), "rankers has 0 values"),
    "a figure of text": (
        lambda told: told["audit"].update(mean_score="1"),
        "audit.mean_score is not a number",
    ),
    "an endless number": (lambda told: told["stages"][0].update({"in": 10**400}), r"stages\[0\].in is 1000"),
    "deep facts": (lambda told: told["stages"][0].update(facts={"a": deep(200)}), "nested more than 16 deep"),
    "a reading": (lambda told: told.update(reading={"format": 0}), "format: '0' is none of its values"),
    "another format": (lambda told: told.update(format=[1]), "format '.1.', this version reads 1"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_of_another_shape_is_refused_with_the_place(name, kept):
    change, wanted = CHANGES[name]
    manifest(kept, change)
    with pytest.raises(InputError, match=wanted):
        report(str(kept), kept.with_suffix(".html"))


def test_a_run_of_a_manifest_that_is_no_path_is_as_one_that_is_gone(kept):
    manifest(kept, lambda told: told["run"].update(place="a\0b"))
    assert any("is gone" in each for each in report(str(kept), kept.with_suffix(".html")).left_out)


HOSTILE = {
    "too large": pa.array([10**12] * ROWS),
    "negative": pa.array([-5] * ROWS),
    "text": pa.array(["<script>"] * ROWS),
    "null": pa.nulls(ROWS),
    "not a number": pa.array([float("nan")] * ROWS),
    "list": pa.array([[1]] * ROWS),
    "bytes": pa.array([b"\xff"] * ROWS),
    "unsigned": pa.array([2**64 - 1] * ROWS, pa.uint64()),
    "no UTF-8": pa.Array.from_buffers(
        pa.string(),
        ROWS,
        [None, pa.py_buffer(np.arange(ROWS + 1, dtype=np.int32)), pa.py_buffer(b"\xff" * ROWS)],
    ),
}


@pytest.mark.slow
def test_whatever_column_of_the_records_is_changed(kept):
    """It is refused, or it is only other data; nothing leads out of the table or ends in a traceback."""
    path = why_folder(kept) / RECORDS
    whole = pq.read_table(path)
    tables = [(name, "left out", whole.drop_columns([name])) for name in whole.schema.names]
    tables += [
        ("row", "a part", whole.slice(0, 3)),
        ("row", "twice", whole.append_column("row", whole["row"])),
    ]
    tables += [
        (name, what, whole.set_column(place, name, values))
        for place, name in enumerate(whole.schema.names)
        for what, values in HOSTILE.items()
    ]
    passed = []
    for name, what, table in tables:
        pq.write_table(table, path)
        manifest(kept, lambda told: None)
        try:
            why(kept, 0)
            passed.append((name, what))
            if what in ("text", "no UTF-8", "too large"):
                asked(kept)
        except InputError:
            continue
    ours = [name for name in whole.schema.names if name.startswith("scar_") or name in ("row", "line")]
    assert [each for each in passed if each[0] in ours] == [("line", "too large")]


@pytest.mark.slow
def test_whatever_column_of_a_chunk_of_scores_is_changed(made, tmp_path):
    """Its checksum is true: whoever wrote the run wrote the ledger too."""
    run = Path(shutil.copytree(made / "run", tmp_path / "run"))
    path, entry = run / "chunks" / "00000001.parquet", run / "ledger" / "00000001.json"
    whole, told, before = pq.read_table(path), read_checked(entry.read_bytes()), path.read_bytes()
    few = {what: values.slice(0, len(whole)) for what, values in HOSTILE.items()}
    changed = [
        (name, whole.set_column(place, name, few[what]))
        for place, name in enumerate(whole.schema.names)
        for what in ("too large", "text", "list")
    ]
    changed += [
        ("row", whole.append_column("row", whole["row"])),
        ("id", whole.set_column(4, "id", few["no UTF-8"])),
    ]
    for name, table in changed:
        pq.write_table(table, path)
        old, new = (hashlib.sha256(data).hexdigest() for data in (before, path.read_bytes()))
        entry.write_bytes(checked(json.dumps(told).replace(old, new)))
        words = [["select", "--top", "2", "--out", "k.jsonl"], ["report", "--out", "r.html"]]
        for command, *more, out in words:
            given = [command, str(run), *more, str(tmp_path / out), "--overwrite"]
            assert main(given) in (0, 2), (name, command)


def test_records_that_are_no_table_are_refused(kept):
    path = why_folder(kept) / RECORDS
    path.write_bytes(path.read_bytes()[:-20])
    manifest(kept, lambda told: None)
    with pytest.raises(InputError, match=r"records\.parquet: damaged"):
        why(kept, 0)


def test_a_column_of_scores_whose_name_is_not_utf8_is_damage(made, tmp_path):
    folder = Disk(Path(shutil.copytree(made / "run", tmp_path / "run")))
    path = tmp_path / "run" / data_name(0)
    table = pq.read_table(path)
    names = ["Q\u20acQ" if name == "tags" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace("Q\u20acQ".encode(), b"Q\xff\xfe\xffQ"))
    plan = Plan.read(folder)
    for read in (sidecar_columns, lambda *run: list(read_columns(*run, ["row"]))):
        with pytest.raises(InputError, match="chunks/00000000.parquet: damaged"):
            read(folder, plan)

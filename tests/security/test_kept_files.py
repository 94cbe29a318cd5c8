"""What a selection leaves, and the embeddings it read: written by a stranger, they are read or refused in a line."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.cli import main
from scar.errors import InputError
from scar.report.page import report
from scar.runs import Embeddings, Plan, open_folder
from scar.selection.why import why, why_folder
from scar.selection.why.folder import RECORDS
from scar.selection.why.manifest import MANIFEST
from tests.make import pool_rows, write_jsonl
from tests.security.test_settings_files import tried, written

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
    for row in range(ROWS):
        why(kept, row)
    report(str(kept), kept.with_suffix(".html"), overwrite=True)


@pytest.mark.slow
def test_whatever_value_of_a_manifest_of_what_was_kept_is_changed(kept):
    assert tried(lambda: asked(kept), why_folder(kept) / MANIFEST) > 100

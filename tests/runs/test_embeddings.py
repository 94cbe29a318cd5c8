"""Embeddings read back: which records they are of, and how damage is told."""

import io
import uuid

import numpy as np
import pyarrow as pa
import pytest

from scar.errors import InputError
from scar.runs import Disk, Embeddings, embeddings_name, entry_name, open_folder
from scar.runs.embeddings import wrong_part
from scar.serving.ledger import Counts, commit, digest, done
from tests.serving.test_ledger import plan_of

PLAN = plan_of(3, embeddings={"of": "style", "width": 4})
VECTORS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float16)
SIZES = (2, 3, 4)


@pytest.fixture(params=["disk", "memory"])
def folder(request, tmp_path):
    """A run of three chunks, of 2, 3 and 4 records."""
    if request.param == "memory":
        pytest.importorskip("fsspec")
    place = tmp_path / "run" if request.param == "disk" else f"memory://{uuid.uuid4().hex}/run"
    folder = open_folder(place)
    folder.prepare(*PLAN.rooms)
    PLAN.write(folder)
    start = 0
    for index, size in enumerate(SIZES):
        sheet, some = pa.table({"row": range(size), "line": range(size)}), VECTORS[start : start + size]
        counts = Counts(rows=1, records=size, scored=size)
        commit(folder, index, sheet, [], counts, digest(PLAN.fingerprint), some)
        start += size
    return folder


def put(folder, content, index=1):
    with folder.writing(embeddings_name(index)) as stream:
        stream.write(content)


def bytes_of(array, version=(1, 0)):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=version)
    return out.getvalue()


def headed(head):
    """Write a file with another head."""
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(24)


def test_records_are_taken_in_the_order_asked_for_whatever_their_chunk(folder):
    found = Embeddings.of_run(folder, PLAN)
    assert found.shape == (9, 4)
    wanted = np.asarray([8, 0, 4, 4, 1, 5])
    np.testing.assert_array_equal(found.take(wanted), VECTORS[wanted].astype(np.float32))
    assert found.take(wanted).dtype == np.float32 and found.take(wanted[:0]).shape == (0, 4)
    blocks = list(found.blocks(np.arange(9), 4))
    assert [len(records) for records, _ in blocks] == [4, 4, 1]
    np.testing.assert_array_equal(np.concatenate([some for _, some in blocks]), VECTORS.astype(np.float32))


def test_every_chunk_is_done_and_whole(folder):
    assert done(folder, PLAN).chunks == {0, 1, 2}
    assert [wrong_part(folder, index, size) for index, size in enumerate(SIZES)] == [None] * 3


GOOD = bytes_of(VECTORS[:3])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (GOOD[:-1], "23 bytes of numbers, 24 are needed"),
        (GOOD + b"\0", "25 bytes of numbers, 24 are needed"),
        (GOOD[:50], "cannot be read"),
        (b"", "cannot be read"),
        (b"PK" + GOOD[2:], "cannot be read"),
        (bytes_of(VECTORS[:3], (2, 0)), "not as float16 numbers of shape"),
        (bytes_of(VECTORS[:3].astype(np.float32)), "it begins with .*<f4.*, not as float16"),
        (bytes_of(VECTORS[:3].astype(np.float64)), "it begins with .*<f8.*, not as float16"),
        (bytes_of(VECTORS[:3].astype(object)), "it begins with .*|O.*, not as float16"),
        (bytes_of(VECTORS[:3, :0]), r"'shape': \(3, 0\).*, not as float16"),
        (bytes_of(VECTORS[0]), r"'shape': \(4,\).*, not as float16"),
        (bytes_of(np.asfortranarray(VECTORS[:3])), "'fortran_order': True.*, not as float16"),
        (
            GOOD.replace(b"(3, 4), }        ", b"(3, 400000000), }"),
            "24 bytes of numbers, 2400000000 are needed",
        ),
        (
            headed("{'descr': '<f2', 'fortran_order': False, 'shape': (1152921504606846976, 4), }"),
            "not as float16",
        ),
        (headed("{'descr': '<f2', 'fortran_order': False, 'shape': (-3, -4), }"), "not as float16"),
        (
            headed("{'descr': '<f2', 'fortran_order': False, 'shape': (3, __import__('os')), }"),
            "not as float16",
        ),
        (headed("(" * 9000), "not as float16"),
        (headed("-" * 60_000), "not as float16"),
        (bytes_of(VECTORS[:2]), "holds 2 embeddings, the chunk 3 records"),
    ],
)
def test_damage_is_told_with_the_file_and_the_remedy(folder, content, told):
    put(folder, content)
    with pytest.raises(InputError, match=told) as caught:
        Embeddings.of_run(folder, PLAN)
    assert f"{folder.place}: {embeddings_name(1)}" in str(caught.value)
    assert f"`scar verify {folder.place}` makes it anew" in str(caught.value)


def test_a_missing_file_and_a_missing_entry_are_told(folder):
    folder.remove([embeddings_name(2)])
    with pytest.raises(InputError, match="embeddings/00000002.npy is missing"):
        Embeddings.of_run(folder, PLAN)
    folder.remove([entry_name(0)])
    with pytest.raises(InputError, match="ledger/00000000.json: missing or damaged"):
        Embeddings.of_run(folder, PLAN)


def test_a_run_without_embeddings_says_how_to_have_some(folder):
    with pytest.raises(
        InputError, match="has no embeddings, which this rule needs: score the pool with --embeddings"
    ):
        Embeddings.of_run(folder, plan_of(3))


def test_files_are_open_no_longer_than_they_are_read(tmp_path):
    resource = pytest.importorskip("resource")
    plan = plan_of(300, embeddings={})
    folder = Disk(tmp_path / "run")
    folder.prepare(*plan.rooms)
    for chunk in plan.chunks:
        sheet, some = pa.table({"row": [0], "line": [0]}), np.full((1, 2), chunk.index, np.float16)
        commit(
            folder,
            chunk.index,
            sheet,
            [],
            Counts(rows=1, records=1, scored=1),
            digest(plan.fingerprint),
            some,
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        found = Embeddings.of_run(folder, plan).take(np.arange(300))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found[:, 1].tolist() == list(range(300))


def test_embeddings_need_one_width():
    with pytest.raises(InputError, match="shape"):
        Embeddings((np.zeros((2, 3)), np.zeros((2, 4))))
    with pytest.raises(InputError, match="shape"):
        Embeddings(())

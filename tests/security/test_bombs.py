"""Files that are small and hold much: read as streams, in bounded memory, nothing lost."""

import gzip
import zlib

import pyarrow as pa
import pytest

from tests.pools.made import ROW
from tests.security.bounded import read

GIB = 1 << 30
FIRST, LAST = ROW + b"\n", b"\n" + ROW + b"\n"


def packed(path, parts):
    """Write parts, each so many times a block, packed; nothing of it is held."""
    if path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as out:
            for block, times in parts:
                for _ in range(times):
                    out.write(block)
        return path
    pack = zlib.compressobj(1, wbits=31)
    with open(path, "wb") as out:
        for block, times in parts:
            for _ in range(times):
                out.write(pack.compress(block))
        out.write(pack.flush())
    return path


MIB = 1 << 20
LONG = {
    "a.jsonl": ([(FIRST, 1), (bytes(MIB), 2048), (LAST, 1)], 3, [[0, 1], [1, 2], [2, 3]]),
    "blank.jsonl": (
        [(FIRST, 1), (b" " * MIB, 1024), (b"\n" * MIB, 4), (LAST, 1)],
        2,
        [[0, 1], [1, 3 + 4 * MIB]],
    ),
    "a.json": (
        [
            (b"[" + ROW + b',{"a":"', 1),
            (b"\\\\" * (MIB // 2), 128),
            (b'"},[', 1),
            (b"[" * MIB, 1),
            (b'"', 1),
            (b"]" * MIB, 128),
            (b'"', 1),
            (b"]" * MIB, 1),
            (b"]," + ROW + b"]", 1),
            (b" " * MIB, 256),
        ],
        4,
        [[0, 1], [1, 2], [2, 3], [3, 4]],
    ),
    "a.csv": (
        [
            (b"instruction,response\ni,r\ni,", 1),
            (b"x" * MIB, 512),
            (b'\ni,r\ni,"', 1),
            (b"y\n" * (MIB // 2), 1),
            (b"z" * MIB, 512),
            (b"\ni,r\n", 1),
        ],
        5,
        [[0, 2], [1, 3], [2, 4], [3, 5], [4, 6 + MIB // 2]],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("name", LONG)
def test_a_row_without_an_end_is_set_aside_and_not_held(name, packing, tmp_path):
    parts, rows, addresses = LONG[name]
    path = packed(tmp_path / f"{name}.{packing}", parts)
    assert path.stat().st_size < 12 * MIB
    told = read(path)
    assert told["error"] is None
    assert told["rows"] == told["planned"] == sum(told["items"].values()) == rows
    assert told["addresses"] == addresses
    aside = rows - told["items"]["record"]
    assert told["items"].get("too_long", 0) == aside and (aside or "blank" in name)
    assert told["mib"] < 600


@pytest.mark.slow
def test_a_gzip_of_nothing_but_members_is_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"") * 200_000 + gzip.compress(ROW) + bytes(MIB))
    told = read(path)
    assert (told["rows"], told["items"]) == (1, {"record": 1}) and told["mib"] < 300

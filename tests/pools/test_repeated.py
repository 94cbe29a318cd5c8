"""Lists that are weighed before they are held."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.errors import InputError
from scar.pools import limits, pages
from scar.pools.repeated import refuse_heavy

ROWS = pa.table({"a": [["x" * 100] * 10] * 6})


def batches(path):
    return pq.ParquetFile(path).iter_batches(2, use_threads=False)


@pytest.fixture
def path(tmp_path):
    pq.write_table(ROWS, tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_batches_come_as_they_are_also_more_or_fewer_than_were_weighed(path):
    for packed in ([], list(batches(path))[:1], list(batches(path)), [*batches(path), *batches(path)]):
        assert pa.Table.from_batches(refuse_heavy(batches(path), iter(packed), "p", 0)) == ROWS
    ended = batches(path)
    assert len(list(ended)) == 3 and list(refuse_heavy(ended, batches(path), "p", 0)) == []


def test_a_batch_is_refused_before_it_is_read(path, monkeypatch):
    monkeypatch.setattr(limits, "HELD", 2000)
    one = batches(path)
    with pytest.raises(InputError, match="p: 2 neighbouring rows hold lists of 0 MiB"):
        next(refuse_heavy(one, batches(path), "p", 0))
    assert len(list(one)) == 3
    assert len(list(refuse_heavy(batches(path), batches(path), "p", 2000))) == 3


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_the_longest_text_of_a_dictionary_is_told_and_of_a_huge_one_its_size(
    tmp_path, compression, monkeypatch
):
    texts = pa.table({"a": ["x", "y" * 300, "", "z" * 20]})
    pq.write_table(texts, tmp_path / "a.parquet", compression=compression)
    with open(tmp_path / "a.parquet", "rb") as stream:
        (group,) = pages.groups(stream)
        assert pages.longest(group.columns[0], stream) == 300
        monkeypatch.setattr(pages, "HEAVY", 300)
        assert pages.longest(group.columns[0], stream) == 4 * 4 + 321

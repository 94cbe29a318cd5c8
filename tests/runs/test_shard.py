"""Parts of a run."""

import pytest

from scar.errors import InputError
from scar.pools import Chunk
from scar.runs import Shard


@pytest.mark.parametrize("chunks, of", [(0, 1), (1, 1), (10, 3), (3, 10), (200, 7), (7, 7)])
def test_the_parts_are_the_whole_in_order_and_differ_by_one_at_most(chunks, of):
    whole = [Chunk(n, "a", 0, n + 1, n, 1) for n in range(chunks)]
    parts = [Shard(number, of).of_chunks(whole) for number in range(1, of + 1)]
    assert [chunk for part in parts for chunk in part] == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_it_is_read_as_it_is_typed():
    assert Shard.parse("2/8") == Shard(2, 8) and str(Shard(2, 8)) == "2/8"


@pytest.mark.parametrize(
    "text", ["0/2", "3/2", "1", "/2", "1/", "-1/2", "1/2/3", "a/b", "", " 1/2", "1/0", "١/2x"]
)
def test_what_is_no_part_is_refused(text):
    with pytest.raises(InputError, match="write I/N"):
        Shard.parse(text)

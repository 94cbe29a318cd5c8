"""A guarded stream gives the same bytes, and every error of a read another name."""

import errno
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError, RunError
from scar.pools import guarded as room
from scar.pools.guarded import guarded
from scar.pools.remote import find_remote, read_told
from tests.store import serving

PLACE = "s3://bucket/a.jsonl"


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("s3fs")
    with serving() as client:
        yield client


@given(st.binary(max_size=100), st.lists(st.tuples(st.integers(0, 120), st.integers(-1, 40)), max_size=5))
def test_the_bytes_are_the_streams_wherever_they_are_read(content, reads):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "BUFFER", 7)
        plain, under = io.BytesIO(content), guarded(io.BytesIO(content), lambda: read_told(PLACE))
        for at, size in reads:
            assert under.seek(at) == plain.seek(at)
            assert under.read(size) == plain.read(size) and under.tell() == plain.tell()


class Broken(io.BytesIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def read(self, size=-1):
        raise self.error


@pytest.mark.parametrize(
    "error, kind, told",
    [
        (OSError(errno.EBUSY, "The file was changed"), InputError, f"{PLACE}: changed while it was read"),
        (FileNotFoundError(PLACE), InputError, f"{PLACE}: changed while it was read"),
        (ConnectionResetError("gone"), RunError, f"{PLACE}: the connection broke .*run the same again"),
    ],
)
def test_an_error_of_a_read_names_the_file(error, kind, told):
    with pytest.raises(kind, match=told):
        guarded(Broken(error), lambda: read_told(PLACE)).read(10)


def test_an_error_of_a_stores_client_names_the_file():
    botocore = pytest.importorskip("botocore.exceptions")
    error = botocore.EndpointConnectionError(endpoint_url="https://s3")
    with pytest.raises(RunError, match="a.jsonl: the connection broke .EndpointConnectionError"):
        guarded(Broken(error), lambda: read_told(PLACE)).read(10)


def test_an_object_that_is_replaced_before_it_is_read_is_told(s3):
    s3.put_object(Bucket="bucket", Key="replaced/a.jsonl", Body=b"old")
    (file,) = find_remote("s3://bucket/replaced/a.jsonl")
    with file.open() as stream:
        s3.put_object(Bucket="bucket", Key="replaced/a.jsonl", Body=b"new")
        with pytest.raises(InputError, match="changed while it was read"):
            stream.read()

"""One S3 for the tests of runs on it."""

import pytest

from tests.store import serving


@pytest.fixture(scope="package")
def s3():
    """A client of a server with one bucket."""
    with serving() as client:
        yield client

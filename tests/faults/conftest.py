"""What fault tests share: a parent of processes, a pool, a run that nothing disturbed."""

import pytest

from tests.faults.pools import Job, write_pool
from tests.faults.processes import Parent


@pytest.fixture(scope="session")
def parent(tmp_path_factory):
    """Starts processes."""
    parent = Parent(tmp_path_factory.mktemp("processes"))
    yield parent
    parent.close()


@pytest.fixture(scope="session")
def job(parent, bundle, tmp_path_factory):
    """A run of 10 chunks."""
    return Job(parent, write_pool(tmp_path_factory.mktemp("small") / "pool", 50), bundle)


@pytest.fixture(scope="session")
def reference(job, tmp_path_factory):
    """That run, undisturbed."""
    return _undisturbed(job, tmp_path_factory.mktemp("reference") / "run")


@pytest.fixture(scope="session")
def long_job(parent, bundle, tmp_path_factory):
    """A run of 200 chunks."""
    return Job(parent, write_pool(tmp_path_factory.mktemp("large") / "pool", 1000), bundle)


@pytest.fixture(scope="session")
def long_reference(long_job, tmp_path_factory):
    """That run, undisturbed."""
    return _undisturbed(long_job, tmp_path_factory.mktemp("reference") / "run")


def _undisturbed(job, run):
    done = job.run(run)
    assert done.code == 0, done
    return run

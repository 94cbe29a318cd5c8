"""What fault tests share: a parent of processes, a pool, a run that nothing disturbed."""

from pathlib import Path

import pytest

from tests.faults.pools import Job, write_pool
from tests.faults.processes import Parent


def pytest_collection_modifyitems(items):
    """Real processes, kills and disks: none of it is a unit test."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def parent(tmp_path_factory):
    """Starts processes."""
    parent = Parent(tmp_path_factory.mktemp("processes"))
    yield parent
    parent.close()


@pytest.fixture(scope="session")
def small_pool(tmp_path_factory):
    """A pool of 50 rows."""
    return write_pool(tmp_path_factory.mktemp("small") / "pool", 50)


@pytest.fixture(scope="session")
def job(parent, bundle, small_pool):
    """A run of 10 chunks."""
    return Job(parent, small_pool, bundle)


@pytest.fixture(scope="session")
def reference(job, tmp_path_factory):
    """That run, undisturbed."""
    return _undisturbed(job, tmp_path_factory.mktemp("reference") / "run")


@pytest.fixture(scope="session")
def embedding_job(parent, bundle, small_pool):
    """That run with embeddings: a further file a chunk."""
    return Job(parent, small_pool, bundle, flags=("--embeddings",))


@pytest.fixture(scope="session")
def embedding_reference(embedding_job, tmp_path_factory):
    """That run, undisturbed."""
    return _undisturbed(embedding_job, tmp_path_factory.mktemp("reference") / "run")


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

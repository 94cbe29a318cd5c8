"""A short soak; `make soak` is the long one."""

import pytest

from tests.soak import soak


@pytest.mark.slow
def test_a_few_kills_of_a_soak_are_survived(bundle, tmp_path):
    done = soak(bundle, tmp_path, kills=20, seconds=120, seed=7)
    assert sum(done.kills.values()) >= 20 and done.ends >= 1

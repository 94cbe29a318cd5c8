"""What cannot be asked of a run at once."""

import pytest

from scar.errors import InputError
from scar.runs import Shard
from scar.serving.run import score_pool


def test_a_shard_begins_no_run_anew(tmp_path):
    with pytest.raises(InputError, match="--shard with --overwrite: `scar plan --overwrite`"):
        score_pool(tmp_path, tmp_path, tmp_path / "run", shard=Shard(1, 2), overwrite=True)
    assert not (tmp_path / "run").exists()

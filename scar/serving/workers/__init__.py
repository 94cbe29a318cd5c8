"""Worker processes that score chunks under supervision: what hangs or dies is ended, replaced, and traced to a row."""

from scar.serving.workers.shares import Share, share_out
from scar.serving.workers.supervised import Workers
from scar.serving.workers.worker import Specs

__all__ = ["Share", "Specs", "Workers", "share_out"]

"""Worker processes that score chunks under supervision: what hangs or dies is ended, replaced, and traced to a row."""

from scar.serving.workers.shares import Share, share_out
from scar.serving.workers.supervised import Workers

__all__ = ["Share", "Workers", "share_out"]

"""The names of what stands in a run folder."""

PLAN, RUN, LOCK, SET_ASIDE = "plan.json", "run.json", ".lock", "set_aside.jsonl"
INPUTS = ".inputs.json"
"""How the pool's files looked when they were hashed: whoever goes on need not hash them again."""
CHUNKS, SET_ASIDE_PARTS, LEDGER = "chunks", "set_aside", "ledger"


def data_name(index: int) -> str:
    """Name a chunk's part of the sidecar."""
    return f"{CHUNKS}/{index:08d}.parquet"


def set_aside_name(index: int) -> str:
    """Name a chunk's set-aside rows."""
    return f"{SET_ASIDE_PARTS}/{index:08d}.jsonl"


def entry_name(index: int) -> str:
    """Name a chunk's ledger entry."""
    return f"{LEDGER}/{index:08d}.json"

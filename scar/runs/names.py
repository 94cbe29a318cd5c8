"""The names of what stands in a run folder."""

import re

PLAN, RUN, LOCK, SET_ASIDE = "plan.json", "run.json", ".lock", "set_aside.jsonl"
INPUTS = ".inputs.json"
"""How the pool's files looked when they were hashed: whoever goes on need not hash them again."""
PASSING = ".passing"
"""Mark of a run that `scar filter` made for itself, and removes when it is done."""
CHUNKS, SET_ASIDE_PARTS, LEDGER, EMBEDDINGS = "chunks", "set_aside", "ledger", "embeddings"
_OF_A_CHUNK = re.compile(
    rf"{CHUNKS}/\d{{8,}}\.parquet|{SET_ASIDE_PARTS}/\d{{8,}}\.jsonl|{LEDGER}/\d{{8,}}\.json|{EMBEDDINGS}/\d{{8,}}\.npy"
)
_WHOLE = "|".join(map(re.escape, (PLAN, RUN, SET_ASIDE, INPUTS, PASSING)))
_HALF = re.compile(rf"\.({_WHOLE}|\d{{8,}}\.(parquet|jsonl|json|npy))(\.[0-9a-f]+)?\.tmp")


def data_name(index: int) -> str:
    """Name a chunk's part of the sidecar."""
    return f"{CHUNKS}/{index:08d}.parquet"


def set_aside_name(index: int) -> str:
    """Name a chunk's set-aside rows."""
    return f"{SET_ASIDE_PARTS}/{index:08d}.jsonl"


def entry_name(index: int) -> str:
    """Name a chunk's ledger entry."""
    return f"{LEDGER}/{index:08d}.json"


def embeddings_name(index: int) -> str:
    """Name a chunk's embeddings."""
    return f"{EMBEDDINGS}/{index:08d}.npy"


def of_a_chunk(name: str) -> bool:
    """Tell whether a name is that of some chunk's file or entry."""
    return _OF_A_CHUNK.fullmatch(name) is not None


def half_written(name: str) -> bool:
    """Tell whether a file name, without its folder, is one that a killed writer of a run leaves."""
    return _HALF.fullmatch(name) is not None

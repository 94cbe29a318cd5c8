"""The run folder: names, plan, lock, writing it safely and reading it back. Knows neither engines nor rules."""

from scar.runs.embeddings import Embeddings
from scar.runs.folder import Disk, Folder, Listed, open_folder
from scar.runs.names import (
    CHUNKS,
    EMBEDDINGS,
    INPUTS,
    LEDGER,
    LOCK,
    PASSING,
    PLAN,
    RUN,
    SET_ASIDE,
    SET_ASIDE_PARTS,
    data_name,
    embeddings_name,
    entry_name,
    set_aside_name,
)
from scar.runs.plan import Plan
from scar.runs.read import (
    finished,
    number_columns,
    read_columns,
    require_finished,
    schema_of,
    sidecar_columns,
)
from scar.runs.shard import Shard

__all__ = [
    "CHUNKS",
    "EMBEDDINGS",
    "INPUTS",
    "LEDGER",
    "LOCK",
    "PASSING",
    "PLAN",
    "RUN",
    "SET_ASIDE",
    "SET_ASIDE_PARTS",
    "Disk",
    "Embeddings",
    "Folder",
    "Listed",
    "Plan",
    "Shard",
    "data_name",
    "embeddings_name",
    "entry_name",
    "finished",
    "number_columns",
    "open_folder",
    "read_columns",
    "require_finished",
    "schema_of",
    "set_aside_name",
    "sidecar_columns",
]

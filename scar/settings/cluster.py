"""Where a pool is scored, if not by this process alone."""

from dataclasses import dataclass, fields
from typing import Literal

from scar.errors import InputError
from scar.settings.scoring import Scoring


@dataclass(frozen=True)
class Cluster:
    """Who schedules the chunks. Nothing of this changes a score, or stands in a plan."""

    cluster: Literal["none", "ray"] = "none"
    """ray: actors of a Ray cluster score the chunks; Ray schedules, retries and restarts them."""
    ray_address: str = ""
    """Address of the cluster, or auto for the one that this machine is part of; else a Ray of this machine alone."""
    actors: int = 0
    """Most actors at a time; 0 takes as many as there is room for."""
    cpus_per_actor: int = 1
    """Processors of each actor, which are its threads too."""
    gpus_per_actor: float = 0
    """GPUs of each actor; with --device cuda alone."""

    def __post_init__(self) -> None:
        """Check the numbers, and that they have a cluster to stand for."""
        for name, least in (("actors", 0), ("cpus_per_actor", 1), ("gpus_per_actor", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} must be at least {least}, got {getattr(self, name)}")
        for field in fields(self):
            if not self and (value := getattr(self, field.name)) != field.default:
                flag = field.name.replace("_", "-")
                raise InputError(f"--{flag} {value}: without a cluster it does nothing; add --cluster ray")
        if self.ray_address.startswith("ray://"):
            raise InputError(
                f"--ray-address {self.ray_address}: the driver runs inside the cluster: `ray job submit`, or "
                "--ray-address auto on one of its machines"
            )

    def check(self, scoring: Scoring) -> None:
        """Raise InputError where the flags do not go together."""
        if not self:
            return
        if scoring.workers > 1:
            raise InputError(
                f"--workers {scoring.workers} and --cluster: an actor has one worker at most; "
                "give --workers 1, and --actors"
            )
        if scoring.device not in ("cpu", "cuda"):
            raise InputError(
                f"--device {scoring.device}: Ray numbers an actor's GPUs itself; give --device cuda"
            )
        if (scoring.device == "cuda") != (self.gpus_per_actor > 0):
            raise InputError(
                f"--device {scoring.device} with --gpus-per-actor {self.gpus_per_actor:g}: GPUs need --device cuda, "
                "and that needs GPUs"
            )

    def __bool__(self) -> bool:
        """Tell whether there is one."""
        return self.cluster != "none"

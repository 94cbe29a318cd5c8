"""How contenders are timed."""

from dataclasses import dataclass

from scar.errors import InputError


@dataclass(frozen=True)
class BenchSettings:
    """How contenders are timed."""

    rows: int = 2000
    """First rows of the pool, which every contender scores."""
    rounds: int = 5
    """How often each contender is timed, in turn."""
    contenders: tuple[str, ...] = ()
    """Which alone to time, such as onnxruntime/fused/fp32; none: all that this machine can run."""
    peers: bool = False
    """Time `scar-tool` or sentence-transformers' CrossEncoder beside them."""
    every: int = 5
    """The peers, which are slow, score each so manieth record of the rows."""
    device: str = "cpu"
    """Where to run: cpu, cuda, cuda:1 or tensorrt."""
    threads: int = 0
    """Threads of the engine; 0 takes the processors this process may use."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, least in (("rows", 1), ("rounds", 1), ("every", 1), ("threads", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        if self.peers and self.every > self.rows:
            raise InputError(f"--every {self.every} of {self.rows} rows leaves the peers too few to time")

    @property
    def where(self) -> dict[str, str | int]:
        """The settings of a scoring that say where it runs."""
        return {"device": self.device, "threads": self.threads}

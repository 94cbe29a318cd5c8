"""The figures of a benchmark: medians with their spread, shares of the peak, ratios round by round."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scar.serving.bench.job import Timing
from scar.serving.bench.peak import Peaks
from scar.serving.bench.rounds import Spread, ratios
from scar.serving.engines import processor, processors, versions


@dataclass(frozen=True)
class Measured:
    """A contender's timings."""

    name: str
    role: str
    """contender, way (the first contender with its texts batched otherwise) or peer."""
    timings: list[Timing]
    flops: float
    """Operations of its encoder in a run; 0 where unknown."""
    precision: str
    """Of its matrix products; empty where no peak was timed for it."""

    @property
    def speeds(self) -> list[float]:
        """Rows a second, round by round."""
        return [timing.rows_per_second for timing in self.timings]


def report(
    measured: Sequence[Measured], products: Sequence[Peaks], differences: Mapping[str, float]
) -> dict[str, Any]:
    """Put the figures together, as plain values. `differences` are of the ways' scores, in standard deviations."""
    peak = {name: Spread.of([each[name].gflops for each in products]) for name in products[0]}
    machine = {"processors": processors(), **processor(), "versions": versions()}
    return {
        "machine": machine,
        "peaks": {
            name: {**asdict(spread), "by": sorted({each[name].by for each in products})}
            for name, spread in peak.items()
        },
        "contenders": [_figures(one, peak) for one in measured],
        "gains": gains(measured, differences),
    }


def _figures(one: Measured, peak: Mapping[str, Spread]) -> dict[str, Any]:
    of = {"int8": "bf16"}.get(one.precision, one.precision)
    of = of if of in peak else "fp32" if one.precision == "int8" else ""
    shares = [1e-9 * one.flops / timing.seconds / peak[of].median for timing in one.timings] if of else []
    tokens = [timing.tokens / timing.seconds for timing in one.timings]
    return {
        "name": one.name,
        "role": one.role,
        "rows": one.timings[0].rows,
        "rows_per_second": asdict(Spread.of(one.speeds)),
        "tokens_per_second": asdict(Spread.of(tokens)) if any(tokens) else None,
        "padding": one.timings[0].padding if any(tokens) else None,
        "share_of_peak": asdict(Spread.of(shares)) if shares else None,
        "peak_of": of or None,
        "memory_bytes": asdict(Spread.of([timing.peak for timing in one.timings])),
        "seconds": [timing.seconds for timing in one.timings],
        "settings": dict(one.timings[0].settings),
    }


def gains(measured: Sequence[Measured], differences: Mapping[str, float]) -> list[dict[str, Any]]:
    """Divide speeds round by round: the first contender's by those of its other ways, every contender's by a peer's."""
    ours = [one for one in measured if one.role == "contender"]
    found = [_gain(ours[0], way, differences.get(way.name)) for way in measured if way.role == "way"]
    return found + [_gain(one, peer, None) for peer in measured if peer.role == "peer" for one in ours]


def _gain(one: Measured, other: Measured, difference: float | None) -> dict[str, Any]:
    rounds = ratios(one.speeds, other.speeds)
    return {
        "of": one.name,
        "over": other.name,
        "ratio": asdict(Spread.of(rounds)),
        "rounds": rounds,
        "scores_differ": difference,
    }

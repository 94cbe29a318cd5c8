"""What `scar score --dry-run` prints."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from scar.serving.dry_run import Estimate, dry_run
from scar.settings import Reading, Scoring


def tell(pool: str, rankers: Sequence[str | Path], reading: Reading, scoring: Scoring) -> None:
    """Score a sample of a pool and print what the whole of it will need."""
    for line in lines(dry_run(pool, rankers, reading=reading, scoring=scoring)):
        print(line)


def lines(estimate: Estimate) -> list[str]:
    """Say what an estimate holds."""
    records = max(1, estimate.records)
    scored = max(1, estimate.records - estimate.set_aside)
    told = [
        f"engine: {name}: {choice.engine} {choice.precision}, {choice.graph} ({choice.why})"
        for name, choice in estimate.choices.items()
    ]
    if estimate.rows is None:
        told.append(
            f"first {estimate.sampled:,} rows; the pool comes over a network, and was not read to its end"
        )
    else:
        told.append(f"rows: {estimate.rows:,}   sample: {estimate.sampled:,}, spread over the pool")
    told.append(
        f"records: {estimate.records / estimate.sampled:.3g} a row, {estimate.set_aside / records:.1%} set aside"
    )
    told += [f"truncated: {name} {number / scored:.1%}" for name, number in estimate.truncated.items()]
    told.append(f"tokens: about {estimate.all_tokens:,.0f} ({estimate.tokens / scored:,.0f} a scored record)")
    told.append(
        f"time: about {timedelta(seconds=round(estimate.all_seconds))} "
        f"({estimate.sampled / estimate.seconds:,.1f} rows/s), loading left out"
    )
    told.append(f"memory: about {estimate.memory_bytes / 2**20:,.0f} MiB at most")
    return [*told, "nothing was written"]

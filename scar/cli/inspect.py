"""`scar inspect`: what a pool was taken for, and what the model will see of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.cli.parser import Parser, from_flat
from scar.cli.screen import visible
from scar.cli.tables import show
from scar.settings import Reading

if TYPE_CHECKING:
    from scar.inspection import Inspection, Sample

MOST_FILES = 12
MOST_COLUMNS = 12
MOST_CHARACTERS = 400


def inspect(arguments: Sequence[str]) -> None:
    """Inspect a pool."""
    parser = Parser(
        "inspect",
        "Show what was detected, three records as the model will see them, and what would be set aside.",
    )
    parser.add_argument("pool", type=str, help="file, folder, glob, URL or Hub name")
    parser.add_argument("--ranker", type=Path, help="bundle: count in its tokens, cut as it cuts")
    parser.add_argument("--rows", type=int, default=100_000, help="look at the first N rows")
    parser.add_settings(Reading)
    values = parser.read(arguments)
    from scar.inspection import inspect_pool

    seen = inspect_pool(
        values["pool"], values["ranker"], reading=from_flat(Reading, values), rows=values["rows"]
    )
    _print_files(seen)
    for number, sample in enumerate(seen.samples, start=1):
        _print_sample(number, sample, seen.unit)
    _print_lengths(seen)
    _print_set_aside(seen)
    for advice in seen.advice():
        print(f"note: {advice}")


def _print_files(seen: "Inspection") -> None:
    table = Table("file", "type", "layout", "columns read", "columns left alone", box=SIMPLE)
    for file in seen.files[:MOST_FILES]:
        cells = (file.name, file.kind, file.layout, _names(file.read), _names(file.left) or "-")
        table.add_row(*(Text(visible(cell)) for cell in cells))
    show(table)
    if len(seen.files) > MOST_FILES:
        print(f"and {len(seen.files) - MOST_FILES} files more")
    extent = "the whole pool" if seen.whole else "the pool goes on; --rows looks further"
    lost = sum(seen.set_aside.values())
    print(f"read {seen.rows:,} rows ({extent}): {seen.records:,} records, {lost:,} would be set aside")
    if seen.parts:
        print("responses: " + ", ".join(f"{count:,} {visible(part)}" for part, count in seen.parts.items()))
    print(
        f"{seen.several_turns:,} records of several turns; {seen.instructions:,} different instructions; "
        f"{seen.duplicates:,} records repeat an earlier one"
    )


def _names(columns: Sequence[str]) -> str:
    """Give columns in the order of the file, not all of very many, none of them at length."""
    names = [name if len(name) <= 40 else name[:37] + "..." for name in columns[:MOST_COLUMNS]]
    return ", ".join(names) + (
        f" and {len(columns) - MOST_COLUMNS} more" if len(columns) > MOST_COLUMNS else ""
    )


def _print_sample(number: int, sample: "Sample", unit: str) -> None:
    address = sample.record.address
    part = f", {visible(sample.record.part)}" if sample.record.part else ""
    lengths = " + ".join(f"{length:,}" for length in sample.lengths.values())
    cut = ", cut" if sample.truncated else ""
    print(f"\nrecord {number}: {visible(address.file)}, line {address.line}{part} ({lengths} {unit}{cut})")
    for name, text in sample.texts.items():
        print(f"  {name}: " + visible(_short(text)).replace("\n", "\n    "))


def _short(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"


def _print_lengths(seen: "Inspection") -> None:
    table = Table(seen.unit, box=SIMPLE)
    for name in ("least", "25 %", "median", "75 %", "95 %", "most"):
        table.add_column(name, justify="right")
    for name, values in seen.quantiles().items():
        table.add_row(name, *(f"{value:,}" for value in values))
    if seen.records:
        show(table)
    if seen.limit and seen.records:
        share = seen.truncated / seen.records
        print(f"cut at {seen.limit} tokens a {seen.sequence}: {seen.truncated:,} records ({share:.1%})")
    elif seen.records:
        print("lengths are in characters; --ranker B counts tokens, and what would be cut")


def _print_set_aside(seen: "Inspection") -> None:
    for reason, count in seen.set_aside.most_common():
        print(f"\nwould be set aside: {count:,} {reason}, such as")
        for example in seen.examples:
            if example.item.reason == reason:
                address = example.item.address
                print(f"  {visible(address.file)}, line {address.line}: {visible(example.item.detail)}")
                print(f"    {visible(example.row)}")

"""`scar bench`: how fast a bundle scores here, by every engine and graph, beside the peers; or the flags that suit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from scar.cli.parser import Parser, comma_list, from_flat
from scar.cli.tables import show
from scar.settings import BenchSettings, Reading

MIB = 1 << 20


def bench(arguments: Sequence[str]) -> None:
    """Time contenders in turn, or tune one."""
    parser = Parser(
        "bench",
        "Time the engines, graphs and precisions of a bundle in turn on the first rows of a pool, end to end without "
        "start-up. Nothing is written but the --json file.",
    )
    parser.add_argument("bundle", type=Path, help="bundle with exported graphs")
    parser.add_argument("pool", type=str, help="file, folder, glob, URL or Hub name")
    parser.add_argument(
        "--contenders",
        type=str,
        default="",
        help="only these, such as onnxruntime/fused/fp32,openvino/fused/bf16",
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="time batch_tokens and chunk_rows of one contender; print the flags to use",
    )
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --json file")
    parser.add_settings(BenchSettings, only=("rows", "rounds", "peers", "every", "device", "threads"))
    parser.add_settings(Reading)
    values = parser.read(arguments)
    values["contenders"] = comma_list(values["contenders"])
    from scar.files import refuse_existing, write_json
    from scar.serving import bench as room

    if values["json"]:
        refuse_existing(values["json"], overwrite=values["overwrite"])
    measure, tell = (room.tune, print_tuned) if values["tune"] else (room.bench, print_bench)
    result = measure(
        values["bundle"],
        values["pool"],
        from_flat(BenchSettings, values),
        reading=from_flat(Reading, values),
    )
    tell(result)
    if values["json"]:
        write_json(values["json"], result)
        print(f"figures: {values['json']}")


def print_bench(result: dict[str, Any]) -> None:
    """Print the contenders, then what they gain, then what is to be known of both."""
    table = Table("contender", box=SIMPLE, padding=(0, 1, 0, 0))
    table.columns[0].overflow = "fold"
    for title in ("rows/s", "tokens/s", "padding", "of peak", "MiB"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in result["contenders"]:
        table.add_row(one["name"], *_cells(one))
    show(table)
    if result["gains"]:
        show(_gains(result["gains"]))
    for line in _notes(result):
        print(line)


def _cells(one: dict[str, Any]) -> list[str]:
    tokens, share = one["tokens_per_second"], one["share_of_peak"]
    return [
        _spread(one["rows_per_second"], "{:,.1f}"),
        f"{tokens['median']:,.0f}" if tokens else "",
        f"{one['padding']:.1%}" if tokens else "",
        f"{share['median']:.2f} of {one['peak_of']}" if share else "",
        f"{one['memory_bytes']['high'] / MIB:,.0f}",
    ]


def _spread(figure: dict[str, float], form: str) -> str:
    least, most = form.format(figure["low"]), form.format(figure["high"])
    return f"{form.format(figure['median'])} [dim]({least} to {most})[/dim]"


def _gains(gains: list[dict[str, Any]]) -> Table:
    table = Table("", "over", box=SIMPLE, padding=(0, 1, 0, 0))
    for title in ("times the rows/s", "scores differ by"):
        table.add_column(title, justify="right", no_wrap=True)
    for gain in gains:
        differ = gain["scores_differ"]
        far = "" if differ is None else f"{differ:.1g} sigma"
        table.add_row(gain["of"], gain["over"], _spread(gain["ratio"], "{:.2f}"), far)
    return table


def _notes(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    peaks = ", ".join(
        f"{name} {peak['median']:,.0f} GFLOP/s ({'; '.join(peak['by'])})"
        for name, peak in result["peaks"].items()
    )
    return [
        f"{result['rows']:,} rows, {result['rounds']} rounds in turn, medians (least to most); "
        f"{machine['processors']} processors, {', '.join(machine['features'])}",
        "tokens: real ones that went through the encoder, each distinct text of a chunk once; MiB: peak of the process",
        *([f"peak of matrix products: {peaks}"] if peaks else []),
        *result["notes"],
        *(f"left out: {name}: {why}" for name, why in result["left_out"].items()),
    ]


def print_tuned(result: dict[str, Any]) -> None:
    """Print the grid and the flags to use."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for title in ("batch_tokens", "chunk_rows", "rows/s", "padding", "MiB", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for cell in result["cells"]:
        own = {name: cell[name] for name in ("batch_tokens", "chunk_rows")}
        mark = " ".join(name for name in ("best", "default") if result[name] == own)
        speed = _spread(cell["rows_per_second"], "{:,.1f}")
        numbers = [f"{number:,}" for number in own.values()]
        table.add_row(*numbers, speed, f"{cell['padding']:.1%}", f"{cell['memory_bytes'] / MIB:,.0f}", mark)
    show(table)
    print(
        f"{result['rows']:,} rows, {result['rounds']} rounds in turn, medians (least to most); {result['contender']}"
    )
    if result["gain"]["low"] <= 1:
        print("no setting was faster than the defaults in every round: no flags are needed")
    else:
        gain = _spread(result["gain"], "{:.2f}")
        print(f"use: {result['flags']}   {gain} times the defaults' rows/s")

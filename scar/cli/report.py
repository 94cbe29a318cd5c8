"""`scar report`: a run or a selection as one page."""

from collections.abc import Sequence

from scar.cli.parser import Parser


def report(arguments: Sequence[str]) -> None:
    """Write the report of a run or of what was kept."""
    parser = Parser(
        "report",
        "Write one HTML file that shows a run, or what was kept of it: numbers, charts and examples.",
    )
    parser.add_argument("place", type=str, help="run folder of `scar score`, or kept file of `scar select`")
    parser.add_argument("--out", type=str, required=True, help="the page: an .html file that loads nothing")
    parser.add_argument("--by", type=str, help="of a run: the score to show; default: the first ranker's")
    parser.add_argument("--pool", type=str, help="where the pool is now, if it was moved")
    parser.add_argument("--seed", type=int, default=0, help="seed of samples, twins and clusters")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    values = parser.read(arguments)
    from scar.report.page import report as write_report

    done = write_report(
        values["place"],
        values["out"],
        by=values["by"],
        pool=values["pool"],
        seed=values["seed"],
        overwrite=values["overwrite"],
    )
    for line in done.left_out:
        print(f"left out: {line}")
    print(f"{done.bytes / 1000:,.0f} kB: {done.out}")

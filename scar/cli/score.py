"""`scar score`: a pool in, a run folder out."""

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING, Any

from scar.cli import logs
from scar.cli.parser import Parser, comma_list, from_flat
from scar.settings import Cluster, Reading, Scoring
from scar.settings.scoring import OWN

if TYPE_CHECKING:
    from scar.serving.report import RunReport

FLAGS = (
    *("engine", "precision", "graph", "device", "aggregate"),
    *("batch_tokens", "chunk_rows", "threads", "workers", "stall", "gates"),
)


def add_scoring(parser: Parser) -> None:
    """Add the flags of whatever scores a pool."""
    parser.add_argument(
        "pool", type=str, help="file, folder, glob, URL or Hub name; jsonl, json, csv, parquet, arrow"
    )
    parser.add_argument(
        "--ranker",
        type=str,
        action="append",
        required=True,
        help="bundle with exported graphs; again for each further ranker: all score in one pass",
    )
    parser.add_argument(
        "--carry", type=str, default="", help="columns to write beside the scores: source,lang"
    )
    parser.add_argument(
        "--embeddings",
        type=str,
        nargs="?",
        const=OWN,
        help="embed each record too: by the bundle of an encoder (`scar export --encoder`), or, without a value, by "
        "the first ranker's own graph in the same pass",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_settings(Reading)
    parser.add_settings(Scoring, only=FLAGS)


def scoring_of(values: dict[str, Any]) -> Scoring:
    """Read the scoring settings out of parsed flags."""
    carry, embeddings = comma_list(values.pop("carry")), values.pop("embeddings") or ""
    return replace(from_flat(Scoring, values), carry=carry, embeddings=embeddings)


def score(arguments: Sequence[str]) -> None:
    """Score a pool."""
    parser = Parser(
        "score", "Score every record of a pool into a run folder; the pool itself is not touched."
    )
    add_scoring(parser)
    parser.add_argument("--out", type=str, help="run folder; needed unless --dry-run")
    parser.add_argument(
        "--shard",
        type=str,
        help="I/N: score only this part of the chunks that `scar plan` cut, beside the others",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="score a sample and say what the whole pool will need: tokens, time, memory; write nothing",
    )
    parser.add_settings(Cluster)
    values = parser.read(arguments)
    cluster = from_flat(Cluster, values)
    if values["dry_run"]:
        from scar.cli.dry_run import tell

        tell(values["pool"], values["ranker"], from_flat(Reading, values), scoring_of(values))
        return
    if values["out"] is None:
        parser.error("--out RUN is required: the folder that the scores go to")
    from scar.cli.progress import watched
    from scar.runs import Shard
    from scar.serving.run import score_pool

    with watched() as watch:
        report = score_pool(
            values["pool"],
            values["ranker"],
            values["out"],
            reading=from_flat(Reading, values),
            scoring=scoring_of(values),
            overwrite=values["overwrite"],
            shard=Shard.parse(values["shard"]) if values["shard"] is not None else None,
            cluster=cluster,
            watch=watch,
        )
    print_run(report)
    if report.shard:
        print(f"shard {report.shard} is done; when all are: scar gather {quote(report.run)}")
    else:
        print_next(report.run, list(report.choice))


def print_next(run: str, rankers: Sequence[str]) -> None:
    """Print what the scores are for."""
    by = f" --by {rankers[0]}" if len(rankers) > 1 else ""
    print(f"scores: {run}   next: scar select {quote(run)} --top 1000{by} --out kept.jsonl")


def print_run(report: "RunReport", same: str = ": the same pool, ranker and settings") -> None:
    """Print what a run did; `same` is what was compared with one that is finished already."""
    from scar.serving.report import summary

    counts, written = report.counts, summary(report)
    logs.event("summary", {"run": report.run, "already": report.already, **written})
    if report.already:
        what = f"shard {report.shard} of {report.run}" if report.shard else report.run
        print(f"{what} is finished already{same}")
    for name, choice in report.choice.items():
        who = f"{name}: " if len(report.choice) > 1 else ""
        print(
            f"engine: {who}{choice['engine']} {choice['precision']}, {choice['graph'] or 'weights'} ({choice['why']})"
        )
    if told := report.embeddings:
        print(f"embeddings: {told['width']:,} numbers a record, of {_embedded_by(told)}")
    aside = sum(counts.set_aside.values())
    print(
        f"read {counts.rows:,} rows, {counts.records:,} records: {counts.scored:,} scored, {aside:,} set aside"
    )
    for reason, number in sorted(counts.set_aside.items()):
        print(f"  {number:,} {reason}")
    if aside * 10 > counts.records:
        print("note: that is much; `scar inspect POOL` shows such rows, and how they were read")
    if counts.truncated:
        print(f"truncated: {_truncated(counts)}")
    if report.rows_scored and report.seconds is not None:
        before = f" ({report.rows_before:,} rows were done before)" if report.rows_before else ""
        rate = written["rows_per_second"]  # as run.json has it: rounded twice, it could be told as another
        print(f"{report.seconds:.1f} s, {rate:,.1f} rows/s, padding {report.padding:.1%}{before}")


def _embedded_by(told: dict[str, Any]) -> str:
    """Say what embedded: a ranker in its own pass, or an encoder on an engine."""
    if "engine" not in told:
        return f"{told['of']}, in its own pass"
    return f"{told['of']}: {told['engine']} {told['precision']}, {told['graph'] or 'weights'}"


def _truncated(counts: Any) -> str:
    """Say how many scored records were cut: for each ranker, where several scored."""
    names = {name: f"{name} " if len(counts.truncated_of) > 1 else "" for name in counts.truncated_of}
    return ", ".join(
        f"{names[name]}{number:,} ({number / max(1, counts.scored):.1%} of the scored)"
        for name, number in counts.truncated_of.items()
    )

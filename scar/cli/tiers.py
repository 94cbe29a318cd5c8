"""`scar tiers ...`: human answers in, a tiers file out, with a language model's help."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scar.cli.parser import Parser, from_flat
from scar.errors import RunError
from scar.settings import Reading
from scar.tiers.settings import Asking, Sending

if TYPE_CHECKING:
    from scar.tiers.ask import AskReport, Scope
    from scar.tiers.join import JoinReport
    from scar.tiers.send import Sent


def _add_scope(parser: Parser) -> None:
    parser.add_argument("--what", type=str, default="direct,referenced,grades", help="what is wanted")
    parser.add_argument("--limit", type=int, help="take only the first N records")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    parser.add_settings(Reading, only=("format", "columns", "responses", "strict"))


def _scope(values: dict[str, Any]) -> "Scope":
    from scar.tiers.ask import Scope
    from scar.tiers.known import wanted

    return Scope(wanted(values["what"]), values["limit"])


def ask(arguments: Sequence[str]) -> None:
    """Write requests."""
    parser = Parser(
        "tiers ask",
        "Write what a language model is to be asked about a pool, as requests of a batch; sends nothing.",
    )
    parser.add_argument("pool", type=str, help="pool of human answers")
    parser.add_argument("--out", type=Path, required=True, help="requests, one JSON object a line")
    parser.add_argument(
        "--replies", type=Path, nargs="+", default=[], help="replies so far: ask for what they do not answer"
    )
    _add_scope(parser)
    parser.add_settings(Asking)
    values = parser.read(arguments)
    asking = from_flat(Asking, values)
    from scar.tiers.ask import ask as write_requests

    report = write_requests(
        values["pool"],
        values["out"],
        asking,
        replies=tuple(values["replies"]),
        reading=from_flat(Reading, values),
        scope=_scope(values),
        overwrite=values["overwrite"],
    )
    _print_asked(report)


def _print_asked(report: "AskReport") -> None:
    print(f"{report.records:,} records{_aside(report.set_aside)}: {report.asked.total():,} requests")
    _print_counts(report.asked)
    if report.again:
        print("of these asked again, because of their reply:")
        _print_counts(report.again)
    if report.given_up:
        print("not asked again, the reply would be the same:")
        _print_counts(report.given_up)
    if report.bad_lines:
        print(f"{report.bad_lines:,} lines of the replies are no replies")
    if report.waiting:
        print(f"{report.waiting:,} grades wait for the texts: ask again with --replies when they are there")
    if report.asked:
        # Another file: a run skips what has a reply in its own, be it one of no use.
        replies = "replies.jsonl" if report.round == 1 else f"replies{report.round}.jsonl"
        print(f"requests: {report.out}   next: scar tiers run {report.out} --out {replies}")
    else:
        print("nothing is left to ask   next: scar tiers join POOL REPLIES --out tiers.jsonl")


def run(arguments: Sequence[str]) -> None:
    """Send requests."""
    parser = Parser(
        "tiers run",
        "Send requests to an OpenAI-compatible endpoint and store the replies; the same command goes on after a kill. "
        "The key is read from OPENAI_API_KEY; a server without keys needs none.",
    )
    parser.add_argument("requests", type=Path, help="file made by `scar tiers ask`")
    parser.add_argument("--out", type=Path, required=True, help="replies; an existing file is added to")
    parser.add_settings(Sending)
    values = parser.read(arguments)
    sending = from_flat(Sending, values)
    from scar.cli.reply_bar import ReplyBar
    from scar.tiers.send import send

    try:
        with ReplyBar() as bar:
            sent = send(values["requests"], values["out"], sending, bar)
    except KeyboardInterrupt:
        print(f"replies so far: {values['out']}   the same command goes on")
        raise
    _print_sent(sent, values["out"])


def _print_sent(sent: "Sent", out: Path) -> None:
    from scar.cli.reply_bar import spent

    failed = sent.failed.total()
    if sent.healed:
        print(f"dropped a half-written reply of {sent.healed:,} bytes at the end of {out}")
    print(f"{sent.requests:,} requests: {sent.had:,} had a reply, {sent.good:,} answered, {failed:,} failed")
    _print_counts(sent.failed)
    print(f"{sent.seconds:,.1f} s, {spent(sent, sent.seconds)}")
    if failed and not (sent.good or sent.had):
        raise RunError(f"no request succeeded; the first failure was {sent.first_failure}")
    if failed:
        print(f"first failure: {sent.first_failure}; the same command tries the failed ones again")
    print(f"replies: {out}")
    print("next: scar tiers ask POOL --model M --replies REPLIES ... --out MORE, while something is missing;")
    print("then: scar tiers join POOL REPLIES ... --out TIERS")


def join(arguments: Sequence[str]) -> None:
    """Build a tiers file."""
    parser = Parser(
        "tiers join",
        "Build a tiers file out of a pool and the replies; what is missing is listed with its reason.",
    )
    parser.add_argument("pool", type=str, help="the pool that was asked about")
    parser.add_argument("replies", type=Path, nargs="+", help="files of replies")
    parser.add_argument(
        "--out", type=Path, required=True, help="tiers file; OUT.missing.jsonl stands beside it"
    )
    parser.add_argument(
        "--graded-only",
        action="store_true",
        help="leave out texts without a quality, as a constraint needs it",
    )
    _add_scope(parser)
    values = parser.read(arguments)
    from scar.tiers.join import join as write_tiers

    report = write_tiers(
        values["pool"],
        tuple(values["replies"]),
        values["out"],
        reading=from_flat(Reading, values),
        scope=_scope(values),
        graded_only=values["graded_only"],
        overwrite=values["overwrite"],
    )
    _print_joined(report)


def _print_joined(report: "JoinReport") -> None:
    left = report.records - report.written
    print(
        f"{report.records:,} records{_aside(report.set_aside)}: {report.written:,} written, {left:,} left out"
    )
    for tier, number in report.tiers.items():
        print(f"  {number:,} {tier}, {report.graded[tier]:,} with a quality")
    if report.missing:
        print(f"missing (see {report.missing_file}):")
        _print_counts({f"{what} {reason}": n for (what, reason), n in report.missing.items()})
    if report.repeated:
        print(f"{report.repeated:,} replies to a question that had one: the last good one counts")
    if report.unknown:
        print(f"{report.unknown:,} questions with a reply are about no record of this pool")
    if report.bad_lines:
        print(f"{report.bad_lines:,} lines of the replies are no replies")
    if report.ungraded:
        print(
            f"note: {report.ungraded:,} texts have no quality, others have one: train with --constraint none, or join "
            "again with --graded-only"
        )
    print(f"tiers: {report.out}   next: scar train style --data {report.out} --out BUNDLE")


def _aside(counts: Counter[str]) -> str:
    told = ", ".join(f"{number:,} {reason}" for reason, number in sorted(counts.items()))
    return f" ({counts.total():,} set aside: {told})" if counts else ""


def _print_counts(counts: Mapping[str, int]) -> None:
    for name, number in sorted(counts.items()):
        print(f"  {number:,} {name}")

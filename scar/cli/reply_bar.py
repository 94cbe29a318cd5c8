"""The progress bar of `scar tiers run`: replies, failures, tokens. Silent where nobody watches."""

import time

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from scar.cli.progress import Drawn
from scar.tiers.send import Sent


class ReplyBar(Drawn):
    """Watches requests being sent."""

    def __init__(self) -> None:
        """Make the bar; it shows from the start of the run."""
        super().__init__(
            TextColumn("[bold]asking"),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[tokens]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}"),
        )

    def start(self, sent: Sent) -> None:
        """Learn how many requests there are."""
        self._started = time.perf_counter()
        self._task = self._progress.add_task("", total=sent.requests, tokens="", failures="")

    def reply(self, sent: Sent) -> None:
        """Draw what is done."""
        if self._task is None:
            return
        failed = sent.failed.total()
        self._progress.update(
            self._task,
            completed=sent.had + sent.good + failed,
            tokens=spent(sent, time.perf_counter() - self._started),
            failures=f"{failed:,} failed" if failed else "",
        )


def spent(sent: Sent, seconds: float) -> str:
    """Write the tokens of a run."""
    speed = sent.completion_tokens / max(1e-9, seconds)
    return f"{sent.prompt_tokens:,} tokens in, {sent.completion_tokens:,} out, {speed:,.0f} out/s"

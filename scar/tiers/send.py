"""Send a file of requests to an endpoint: so many at a time, with retries, every reply stored as it comes."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from scar.errors import InputError
from scar.files import refuse_input
from scar.tiers.batch import Request, read_requests
from scar.tiers.endpoint import Completion, Endpoint, Failure
from scar.tiers.journal import Journal
from scar.tiers.retry import wait_before
from scar.tiers.settings import Sending

HOPELESS = {
    401: "check OPENAI_API_KEY",
    403: "check OPENAI_API_KEY and what it may use; where this request alone is refused, take it out of the file",
    404: "check --base-url (it ends in /v1) and the model that the requests name",
} | dict.fromkeys((301, 302, 303, 307, 308), "it redirects, which is not followed: check --base-url")


@dataclass
class Sent:
    """What a run did so far."""

    requests: int = 0
    had: int = 0
    """Requests that had a reply already, or stand twice in the file."""
    good: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    first_failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    healed: int = 0
    seconds: float = 0.0


class Watch(Protocol):
    """Who looks on."""

    def start(self, sent: Sent) -> None:
        """Learn how many requests there are."""

    def reply(self, sent: Sent) -> None:
        """Learn that one more is done."""


def send(requests: Path, out: Path, sending: Sending, watch: Watch) -> Sent:
    """Send what has no reply in `out` yet. The same call goes on where one was killed.

    Raises InputError where the server refuses everything from the start.
    """
    refuse_input(out, requests)
    # Read once before anything is sent: a bad line near the end must not cost the tokens of the others.
    sent = Sent(requests=sum(1 for _ in read_requests(requests)))
    endpoint = Endpoint(sending)
    started = time.perf_counter()
    with Journal(out) as journal:
        sent.healed = journal.healed
        watch.start(sent)
        try:
            asyncio.run(_Sender(endpoint, sending, journal, sent, watch).all_of(requests))
        finally:
            sent.seconds = time.perf_counter() - started
    return sent


def _but_stops(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), KeyboardInterrupt):
        loop.default_exception_handler(context)


@dataclass
class _Sender:
    """A run under way. Everything happens in one thread, between awaits."""

    endpoint: Endpoint
    sending: Sending
    journal: Journal
    sent: Sent
    watch: Watch

    async def all_of(self, requests: Path) -> None:
        """Send a file's requests; the workers share one reader, so that no more than theirs are in memory."""
        # A stop may come up in the middle of any task: asyncio would tell of each that met it, with a traceback.
        asyncio.get_running_loop().set_exception_handler(_but_stops)
        waiting = self._waiting(requests)
        async with self.endpoint:
            workers = [asyncio.create_task(self._work(waiting)) for _ in range(self.sending.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def _waiting(self, requests: Path) -> Iterator[Request]:
        seen = self.journal.done
        for request in read_requests(requests):
            if request.custom_id in seen:
                self.sent.had += 1
                self.watch.reply(self.sent)
                continue
            seen.add(request.custom_id)
            yield request

    async def _work(self, waiting: Iterator[Request]) -> None:
        for request in waiting:
            self._store(request, await self._answer(request))

    async def _answer(self, request: Request) -> Completion | Failure:
        """Try until there is an answer, the error is final, or the attempts are used up."""
        for attempt in range(1, self.sending.retries + 2):
            answer = await self.endpoint.attempt(request.body)
            last = attempt > self.sending.retries
            if isinstance(answer, Completion) or not answer.passing or last:
                return answer
            await asyncio.sleep(wait_before(attempt, answer.wait, random.random()))
        raise AssertionError("the last attempt returns")

    def _store(self, request: Request, answer: Completion | Failure) -> None:
        sent = self.sent
        if isinstance(answer, Completion):
            sent.good += 1
            sent.prompt_tokens += answer.tokens("prompt_tokens")
            sent.completion_tokens += answer.tokens("completion_tokens")
            self.journal.append(_line(request, {"status_code": 200, "body": answer.body}, None))
        else:
            self._stop_if_hopeless(request, answer)
            sent.failed[answer.code] += 1
            sent.first_failure = sent.first_failure or f"{answer.code}: {answer.message}"
            error = {"code": answer.code, "message": answer.message}
            response = None if answer.status is None else {"status_code": answer.status, "body": None}
            self.journal.append(_line(request, response, error))
        self.watch.reply(sent)

    def _stop_if_hopeless(self, request: Request, failure: Failure) -> None:
        """End the run where nothing has succeeded and nothing will: better one line than thousands of failures."""
        if self.sent.good:
            return
        where = self.endpoint.address
        if failure.status in HOPELESS:
            model = f"model {request.body['model']!r:.80}"
            raise InputError(
                f"{where} answers {failure.status} to {request.custom_id!r:.80} ({model}: {failure.message}): "
                f"{HOPELESS[failure.status]}"
            )
        if failure.code == "unreachable":
            raise InputError(
                f"{where} cannot be reached, {failure.message}, after {self.sending.retries + 1} attempts; "
                "is the server up, is --base-url right?"
            )


def _line(request: Request, response: dict[str, Any] | None, error: dict[str, str] | None) -> dict[str, Any]:
    return {"custom_id": request.custom_id, "response": response, "error": error}

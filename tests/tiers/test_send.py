"""Sending: a server that misbehaves costs time, not replies; what fails has its status; a kill costs little."""

import asyncio
import gc
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from scar.cli import main
from scar.cli.reply_bar import ReplyBar
from scar.cli.signals import Stopped
from scar.errors import InputError
from scar.tiers import retry, wire
from scar.tiers.batch import Request
from scar.tiers.endpoint import Endpoint
from scar.tiers.journal import Journal
from scar.tiers.send import Sent, send
from scar.tiers.settings import Sending
from tests.make import read_jsonl, write_jsonl
from tests.tiers.server import completion, serving

KEY = "sk-secret-0123456789abcdef"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


class Nobody:
    def start(self, sent):
        pass

    def reply(self, sent):
        pass


def requests(folder, n=1):
    path = folder / "requests.jsonl"
    bodies = [{"model": "m", "messages": [{"role": "user", "content": f"q{k}"}]} for k in range(n)]
    path.write_bytes(b"".join(Request(f"r{k}-direct-x", body).line() for k, body in enumerate(bodies)))
    return path


def sent(folder, server, n=1, **settings):
    settings = {"timeout": 5.0, "retries": 5, **settings}
    out = folder / "replies.jsonl"
    return send(requests(folder, n), out, Sending(base_url=server.url, **settings), Nobody())


@pytest.mark.parametrize(
    "trouble",
    [
        *("429", "500", "503", "408", "409", "bad json", "no choices", "cut", "cut within"),
        *("deep", "packed", "odd charset"),
    ],
)
def test_what_passes_is_tried_again(tmp_path, trouble):
    with serving(trouble, trouble) as server:
        done = sent(tmp_path, server)
    assert (done.good, done.failed.total(), sum(server.attempts.values())) == (1, 0, 3)
    (reply,) = read_jsonl(tmp_path / "replies.jsonl")
    assert reply["custom_id"] == "r0-direct-x" and reply["error"] is None
    assert reply["response"]["body"]["choices"][0]["message"]["content"]


def test_a_server_that_hangs_is_given_up_in_time(tmp_path):
    with serving("hang") as server:
        started = time.monotonic()
        done = sent(tmp_path, server, timeout=0.3)
        assert time.monotonic() - started < 2
    assert done.good == 1 and sum(server.attempts.values()) == 2


def test_the_server_says_how_long_to_wait(tmp_path):
    with serving("429") as server:
        sent(tmp_path, server)
    assert server.times[1] - server.times[0] >= 0.3


@pytest.mark.parametrize("trouble", ["500", "bad json", "no choices", "hang"])
def test_what_does_not_pass_becomes_a_failed_reply(tmp_path, trouble):
    with serving(*[trouble] * 3) as server:
        done = sent(tmp_path, server, retries=2, timeout=0.3)
    assert done.good == 0 and done.failed.total() == 1 and sum(server.attempts.values()) == 3
    (reply,) = read_jsonl(tmp_path / "replies.jsonl")
    assert reply["error"]["code"] == {
        "500": "http_500",
        "bad json": "bad_json",
        "no choices": "no_choices",
        "hang": "timeout",
    }.get(trouble)


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_the_users_own_errors_are_not_repeated(tmp_path, status):
    with serving(status) as server:
        done = sent(tmp_path, server)
    assert done.failed == {f"http_{status}": 1} and sum(server.attempts.values()) == 1
    (reply,) = read_jsonl(tmp_path / "replies.jsonl")
    assert reply["response"]["status_code"] == int(status)
    assert reply["error"]["message"] == f"status {status}"


@pytest.mark.parametrize(
    ("status", "remedy"), [("401", "OPENAI_API_KEY"), ("403", "OPENAI_API_KEY"), ("404", "--base-url")]
)
def test_a_refusal_at_the_start_stops_the_run(tmp_path, status, remedy):
    with serving(*[status] * 9) as server, pytest.raises(InputError, match=remedy) as caught:
        sent(tmp_path, server, n=50, concurrency=2)
    assert sum(server.attempts.values()) <= 2 and KEY not in str(caught.value)
    assert (tmp_path / "replies.jsonl").read_bytes() == b""


def test_a_redirect_is_not_followed(tmp_path):
    with serving() as other, serving("redirect") as server:
        server.elsewhere = f"{other.url}/chat/completions"
        with pytest.raises(InputError, match=f"307.*{other.url}.*--base-url"):
            sent(tmp_path, server)
    assert not other.attempts and sum(server.attempts.values()) == 1


def test_an_answer_without_an_end_is_not_read_on(tmp_path, monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 1000)
    with serving("long", "long") as server:
        assert sent(tmp_path, server, retries=1).failed == {"unreadable": 1}
        assert sent(tmp_path, server, retries=1).good == 1


def test_a_request_that_the_server_dies_of_does_not_stop_the_others(tmp_path):
    path = requests(tmp_path, 3)
    with serving(answer=lambda messages: "x" if messages[0]["content"] != "q0" else 1 / 0) as server:
        done = send(
            path, tmp_path / "o.jsonl", Sending(base_url=server.url, retries=0, concurrency=1), Nobody()
        )
    assert done.good == 2 and done.failed == {"connection": 1}


def test_counts_that_are_none_do_not_enter_the_sum(tmp_path):
    with serving("odd counts") as server:
        done = sent(tmp_path, server)
    assert (done.good, done.prompt_tokens, done.completion_tokens) == (1, 0, 0)


def test_a_refusal_after_a_reply_is_a_failed_reply(tmp_path):
    with serving(answer=lambda messages: server.schedule.append("403") or "x") as server:
        done = sent(tmp_path, server, n=3, concurrency=1)
    assert done.good == 1 and done.failed == {"http_403": 2}


def test_an_address_where_nobody_listens_stops_the_run(tmp_path):
    with serving() as server:
        pass
    with pytest.raises(InputError, match="cannot be reached.*after 3 attempts"):
        sent(tmp_path, server, n=5, retries=2)


def test_so_many_requests_are_in_flight_and_no_more(tmp_path):
    with serving(delay=0.05) as server:
        done = sent(tmp_path, server, n=30, concurrency=4)
    assert done.good == 30 and server.most_in_flight == 4


def test_tokens_are_counted(tmp_path):
    with serving() as server:
        done = sent(tmp_path, server, n=3)
    assert (done.prompt_tokens, done.completion_tokens) == (33, 21)


def test_the_body_is_sent_as_it_stands(tmp_path):
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "h\u00e9"}],
        "temperature": 0,
        "guided": {"a": [1]},
    }
    path = tmp_path / "requests.jsonl"
    path.write_bytes(Request("x", body).line())
    with serving() as server:
        send(path, tmp_path / "out.jsonl", Sending(base_url=server.url), Nobody())
    assert server.bodies == [body]


def test_a_second_run_sends_what_has_no_good_reply(tmp_path):
    with serving("400") as server:
        assert sent(tmp_path, server, n=6).failed == {"http_400": 6}
    with serving() as server:
        assert sent(tmp_path, server, n=6).good == 6
        assert sent(tmp_path, server, n=8).had == 6
        assert len(server.attempts) == 8
    assert len(read_jsonl(tmp_path / "replies.jsonl")) == 14


def test_a_request_that_stands_twice_is_sent_once(tmp_path):
    path = requests(tmp_path)
    path.write_bytes(path.read_bytes() * 3)
    with serving() as server:
        done = send(path, tmp_path / "out.jsonl", Sending(base_url=server.url), Nobody())
    assert (done.requests, done.good, done.had) == (3, 1, 2)


def reply_line(custom_id):
    return {"custom_id": custom_id, "response": {"status_code": 200, "body": completion("x")}, "error": None}


def test_a_half_written_line_is_dropped(tmp_path):
    path = write_jsonl(tmp_path / "replies.jsonl", [reply_line("a"), reply_line("b")])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"custom_id": "c", "resp' + b"x" * 5000)
    with Journal(path) as journal:
        assert journal.done == {"a", "b"} and journal.healed == 5024
        journal.append(reply_line("c"))
    assert path.read_bytes().startswith(whole)
    assert [row["custom_id"] for row in read_jsonl(path)] == ["a", "b", "c"]


def test_a_last_line_without_its_end_is_kept_where_it_is_whole(tmp_path):
    path = write_jsonl(tmp_path / "replies.jsonl", [reply_line("a")])
    path.write_bytes(path.read_bytes().rstrip())
    with Journal(path) as journal:
        assert journal.done == {"a"} and journal.healed == 0
        journal.append(reply_line("b"))
    assert len(read_jsonl(path)) == 2


@pytest.mark.parametrize("content", [b'{"instruction": "a"}\n', b"a,b\n1,2", b"\x00\xff"])
def test_a_file_that_holds_no_replies_is_not_written_to(tmp_path, content):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no replies"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_file_of_requests_takes_no_replies(tmp_path):
    path = requests(tmp_path)
    with pytest.raises(InputError, match="holds no replies"):
        Journal(path)
    path.write_bytes(path.read_bytes().rstrip())
    with pytest.raises(InputError, match="holds no replies"):
        Journal(path)
    with pytest.raises(InputError, match="is an input"):
        send(path, path, Sending(), Nobody())
    assert path.stat().st_size > 99


def test_two_runs_do_not_write_one_file(tmp_path):
    with Journal(tmp_path / "replies.jsonl"), pytest.raises(InputError, match="another run"):
        Journal(tmp_path / "replies.jsonl")


def command(folder, server, *more, out="replies.jsonl"):
    files = ["tiers", "run", str(folder / "requests.jsonl"), "--out", str(folder / out)]
    return [*files, "--base-url", server.url, *more]


def started(folder, server, replies, *more):
    """Start a run in a process of its own and wait for so many replies."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scar", *command(folder, server, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in the background the interrupt is ignored, and what they start would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    out = folder / "replies.jsonl"
    until = time.monotonic() + 30
    while not out.exists() or out.read_bytes().count(b"\n") < replies:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.slow
def test_a_killed_run_goes_on_and_loses_what_was_in_flight_at_most(tmp_path):
    requests(tmp_path, 40)
    with serving(delay=0.03) as server:
        process = started(tmp_path, server, 10, "--concurrency", "3")
        process.kill()
        process.communicate()
        before = sum(server.attempts.values())
        done = sent(tmp_path, server, n=40)
        assert done.good + done.had == 40 and done.had >= before - 3
        assert sum(server.attempts.values()) <= 40 + 3
    replies = read_jsonl(tmp_path / "replies.jsonl")
    assert sorted(row["custom_id"] for row in replies) == sorted(f"r{k}-direct-x" for k in range(40))


@pytest.mark.slow
def test_an_interrupt_leaves_a_file_to_go_on_with(tmp_path):
    requests(tmp_path, 40)
    with serving("good", delay=0.05) as server:
        process = started(tmp_path, server, 5, "--concurrency", "2")
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "the same command goes on" in shown and "Traceback" not in shown
        assert sent(tmp_path, server, n=40).had >= 5


def test_a_stop_in_the_middle_of_a_task_is_told_once(tmp_path, caplog, monkeypatch):
    """The signal's handler runs wherever the thread is: as likely in a worker's own step as between two."""

    async def attempt(self, body):
        await asyncio.sleep(0)
        raise Stopped(signal.SIGINT)

    requests(tmp_path, 8)
    monkeypatch.setattr(Endpoint, "attempt", attempt)
    with serving() as server, pytest.raises(Stopped):
        sent(tmp_path, server, n=8)
    gc.collect()
    assert not caplog.records


def test_the_key_stands_nowhere(tmp_path, capfd, caplog):
    requests(tmp_path, 4)
    for step in ("400 echo", "echo in text", "escaped echo", "late echo", "401 echo", "cut"):
        with serving(*[step] * 9) as server:
            main(command(tmp_path, server, "--retries", "0", out=f"{step}.jsonl"))
            assert server.keys == {f"Bearer {KEY}"}
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    shown = capfd.readouterr()
    assert b"[key]" in written
    assert KEY.encode() not in written and KEY not in shown.out + shown.err + caplog.text
    assert KEY[:8].encode() not in written and KEY[:8] not in shown.out + shown.err


def test_a_server_without_keys_needs_none(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with serving() as server:
        assert sent(tmp_path, server).good == 1
    assert server.keys == {"Bearer none"}


def test_a_short_key_is_not_cut_out_of_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    with serving(answer=lambda messages: "an EMPTY list") as server:
        sent(tmp_path, server)
    assert "an EMPTY list" in (tmp_path / "replies.jsonl").read_text()


@pytest.fixture
def error(capsys):
    """Run `tiers run` that must fail; gives the exit code and the one line on standard error."""

    def run(*arguments):
        capsys.readouterr()
        code = main(["tiers", "run", *map(str, arguments)])
        (line,) = capsys.readouterr().err.splitlines()
        return code, line

    return run


@pytest.mark.parametrize(
    "url",
    [
        "http://me:sk-9@h/v1",
        "http://sk-9@h/v1",
        "http://h/v1?key=sk-9",
        "h/v1#sk-9",
        "sk-9",
        "http://h:sk-9/v1",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(error, tmp_path, url, monkeypatch):
    arguments = (requests(tmp_path), "--out", tmp_path / "o.jsonl")
    code, line = error(*arguments, "--base-url", url)
    assert code == 2 and "--base-url" in line and "sk-9" not in line
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    code, line = error(*arguments)
    assert code == 2 and "OPENAI_BASE_URL" in line and "sk-9" not in line


def test_a_refusal_at_the_start_is_one_line(error, tmp_path):
    with serving("404") as server:
        code, line = error(requests(tmp_path), "--out", tmp_path / "o.jsonl", "--base-url", server.url)
    assert code == 2 and "404" in line and "'m'" in line


@pytest.mark.parametrize(
    "url",
    [
        "http://ho st/v1",
        "http://a..b/v1",
        "http://\u00fc\u200b/v1",
        "http://[::1/v1",
        "http://h:0x/v1",
        "ftp://h/v1",
        "",
    ],
)
def test_an_address_that_is_none_is_one_line(error, tmp_path, url):
    code, _ = error(requests(tmp_path), "--out", tmp_path / "o.jsonl", "--base-url", url, "--retries=0")
    assert code == 2


def test_a_key_that_is_no_header_is_refused_and_not_repeated(error, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u00e9-9")
    code, line = error(requests(tmp_path), "--out", tmp_path / "o.jsonl")
    assert code == 2 and "OPENAI_API_KEY" in line and "-9" not in line


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--concurrency", 0),
        ("--concurrency", 9999),
        ("--retries", -1),
        ("--timeout", 0),
        ("--timeout", 1e9),
    ],
)
def test_numbers_out_of_range_are_refused(error, tmp_path, flag, value):
    code, line = error(requests(tmp_path), "--out", tmp_path / "o.jsonl", f"{flag}={value}")
    assert code == 2 and flag in line


def test_a_missing_file_of_requests_is_named(error, tmp_path):
    assert error(tmp_path / "nowhere.jsonl", "--out", tmp_path / "o.jsonl")[0] == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b'{"instruction": "a"}', "custom_id and body"),
        (b'{"custom_id": "a", "body": {"model": "m"}}', "a model and messages"),
        (b'{"custom_id": "a", "url": "/v1/embeddings", "body": {}}', "/v1/embeddings"),
        (b'{"custom_id": "a", "body": {"model": "m", "messages": [], "stream": true}}', "stream"),
        (b'{"custom_id": "a", "body": {"model": "m", "messages": ["\\ud800"]}}', "surrogate"),
    ],
)
def test_a_bad_request_is_named_before_anything_is_sent(error, tmp_path, line, told):
    path = requests(tmp_path, 2)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with serving() as server:
        code, shown = error(path, "--out", tmp_path / "o.jsonl", "--base-url", server.url)
    assert code == 2 and "line 3" in shown and told in shown and not server.attempts


def test_without_the_extra_one_line_names_it(error, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    code, line = error(requests(tmp_path), "--out", tmp_path / "o.jsonl")
    assert code == 2 and "scar-rank[tiers]" in line


@pytest.mark.parametrize("proxy", ["socks5://me:sk-9@h:1", "odd://me:sk-9@h:1"])
def test_a_proxy_of_no_use_is_one_line_without_its_password(error, tmp_path, monkeypatch, proxy):
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    code, line = error(requests(tmp_path), "--out", tmp_path / "o.jsonl")
    assert code == 2 and "ALL_PROXY" in line and "sk-9" not in line


def test_certificates_that_are_not_there_are_one_line(error, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    code, line = error(requests(tmp_path), "--out", tmp_path / "o.jsonl")
    assert code == 2 and "SSL_CERT_FILE" in line


def test_a_device_is_not_read_for_replies(error, tmp_path):
    code, line = error(requests(tmp_path), "--out", "/dev/full")
    assert code == 2 and "no file that a run can go on from" in line


@pytest.mark.slow
def test_a_full_disk_names_the_file_and_loses_nothing_written(tmp_path):
    requests(tmp_path, 20)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from scar.cli import main; "
    with serving() as server:
        arguments = [sys.executable, "-c", f"{limited}raise SystemExit(main({command(tmp_path, server)}))"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "replies.jsonl: File too large" in done.stderr and "the same command goes on" in done.stderr
        rest = sent(tmp_path, server, n=20)
    assert rest.had >= 2 and rest.healed and rest.good + rest.had == 20


def test_a_run_in_which_nothing_succeeds_exits_with_1(tmp_path, capsys):
    requests(tmp_path, 3)
    with serving("400") as server:
        assert main(command(tmp_path, server)) == 1
    assert "no request succeeded" in capsys.readouterr().err


def test_a_run_with_some_failures_says_so(tmp_path, capsys):
    requests(tmp_path, 3)
    with serving(answer=lambda messages: "x" if messages[0]["content"] != "q1" else None) as server:
        assert main(command(tmp_path, server)) == 0
    shown = capsys.readouterr().out
    assert "3 answered, 0 failed" in shown and "33 tokens in, 21 out" in shown
    assert "scar tiers ask POOL" in shown and "scar tiers join POOL" in shown


def test_the_bar_shows_what_is_done_and_spent(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "140")
    state = Sent(requests=4)
    with ReplyBar() as bar:
        bar.start(state)
        state.good, state.had, state.failed, state.prompt_tokens = 1, 1, Counter(timeout=1), 1234
        bar.reply(state)
    shown = capsys.readouterr().err
    assert "3/4" in shown and "1,234 tokens in" in shown and "1 failed" in shown


def test_waits_grow_and_are_bounded():
    waits = [retry.wait_before(attempt, None, 1.0) for attempt in (1, 2, 3, 99)]
    assert waits == [0.01, 0.02, 0.04, retry.LONGEST_WAIT]
    assert retry.wait_before(1, 5.0, 0.0) == 5.0
    assert retry.wait_before(1, 3600.0, 0.0) == retry.LONGEST_ASKED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("Fri, 20 Nov 2026 10:00:09 GMT", 9),
        ("-1", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_the_header_is_seconds_or_a_date(value, seconds):
    now = datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert retry.retry_after({"retry-after": value}, now) == seconds
    assert retry.retry_after({}) is None

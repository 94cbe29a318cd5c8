"""Keys of the environment, and secrets in URLs, are in no file that a command writes and in nothing that it prints."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.make import pool_rows, tier_rows, write_jsonl
from tests.security.children import Child

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

MARK = "c0ffee5ec7e7"
"""Stands in every secret, and nowhere else."""
KEYS = {
    "HF_TOKEN": f"hf_{MARK}AAAAAAAAAAAAAAAAAAAAAA",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{MARK}AAAAAAAAAAAAAAAAAAAAAA",
    "AWS_ACCESS_KEY_ID": f"AKIA{MARK}",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}/secret/key",
    "AWS_SESSION_TOKEN": f"{MARK}-session",
    "OPENAI_API_KEY": f"sk-{MARK}-0123456789",
    "GOOGLE_APPLICATION_CREDENTIALS": f"/nowhere/{MARK}.json",
    "WANDB_API_KEY": MARK,
    "HTTPS_PROXY_USER": MARK,
}
QUERY = f"X-Amz-Credential={MARK}&X-Amz-Signature={MARK}&sig={MARK}"
TEXT = "an answer that nobody logs 7f3a"
"""Text of a row: it is not logged by default."""


class Pools(BaseHTTPRequestHandler):
    """Serves a pool to whoever has the signature; other addresses refuse, move, break off and send rubbish."""

    rows = b""

    def do_HEAD(self):  # noqa: N802
        self.do_GET()

    def do_GET(self):  # noqa: N802
        path, _, query = self.path.partition("?")
        if path.startswith("/moved"):
            self._answer(302, b"", Location=f"http://127.0.0.1:1/pool.jsonl?{QUERY}")
        elif path.startswith("/broken"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(self.rows[:100])
        elif path.startswith("/error"):
            self._answer(500, f"internal: {query}".encode())
        elif not path.startswith("/pool") or query != QUERY:
            self._answer(403, f"SignatureDoesNotMatch {query} {self.headers.get('Authorization')}".encode())
        else:
            self._answer(200, self.rows)

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    rows = [row | {"response": f"{TEXT} {row['response']}"} for row in pool_rows(12)]
    Pools.rows = write_jsonl(tmp_path_factory.mktemp("rows") / "pool.jsonl", rows).read_bytes()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Pools)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{running.server_address[1]}"
    running.shutdown()


@pytest.fixture
def child(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return Child(folder, **KEYS)


def clean(child, text=True):
    """Check all that was printed, and every file under the folders that a command can write to."""
    assert MARK not in child.output
    assert not text or TEXT not in child.output
    for folder in (child.folder, child.folder.parent / f"{child.folder.name}.home"):
        for path in folder.rglob("*"):
            assert MARK not in str(path)
            if path.is_file() and not path.is_symlink():
                assert MARK.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_a_signed_url_is_scored_selected_and_gone_on_from_without_a_trace_of_its_signature(
    server, bundle, child
):
    url = f"http://{server}/pool.jsonl?{QUERY}"
    child.scar("score", url, "--ranker", bundle, "--out", "run")
    child.scar("score", url, "--ranker", bundle, "--out", "run")
    child.scar("score", url, "--ranker", bundle, "--out", "run2", "--log-json")
    child.scar("status", "run")
    child.scar("verify", "run")
    child.scar("select", "run", "--top", "3", "--out", "kept.jsonl", "--pool", url)
    child.scar("select", "run", "--top", "3", "--out", "again.jsonl", code=2)
    child.scar("filter", url, "--ranker", bundle, "--top", "3", "--out", "filtered.jsonl", "--keep-scores")
    child.scar("why", "kept.jsonl", "3", "--json")
    child.scar("report", "kept.jsonl", "--out", "report.html", "--pool", url)
    child.scar("report", "filtered.jsonl", "--out", "alone.html")
    child.scar("tiers", "ask", url, "--model", "m", "--out", "requests.jsonl")
    child.scar("doctor", bundle, "--json")
    clean(child)
    # The page shows texts of the pool, which it can read again with the signature alone.
    shown = [
        TEXT in (child.folder / name).read_text() for name in ("kept.jsonl", "report.html", "alone.html")
    ]
    assert shown == [True, True, False]


FAILING = [
    f"http://{{server}}/pool.jsonl?sig={MARK}",
    f"http://{{server}}/other.jsonl?{QUERY}",
    f"http://{{server}}/moved.jsonl?{QUERY}",
    f"http://{{server}}/broken.jsonl?{QUERY}",
    f"http://{{server}}/error.jsonl?{QUERY}",
    f"http://{{server}}/pool.txt?{QUERY}",
    f"http://{{server}}/?{QUERY}#{MARK}",
    f"http://user:{MARK}@{{server}}/pool.jsonl",
    f"http://{MARK}@{{server}}/pool.jsonl?{QUERY}",
    f"http://user:{MARK}@[::1/pool.jsonl",
    f"http://user:{MARK}@127.0.0.1:99999/pool.jsonl",
    f"http://127.0.0.1:1/pool.jsonl?{QUERY}",
    f"http://no-such-host.invalid/pool.jsonl?{QUERY}",
    f"https://{{server}}/pool.jsonl?{QUERY}",
    f"s3://key:{MARK}@bucket/pool.jsonl",
    f"ftp://user:{MARK}@127.0.0.1:1/pool.jsonl",
    f"nothing://user:{MARK}@host/pool.jsonl",
]


@pytest.mark.slow
@pytest.mark.parametrize("url", FAILING)
def test_an_address_that_fails_is_told_without_its_secrets(url, server, bundle, child):
    url = url.replace("{server}", server)
    for words in (["inspect", url], ["score", url, "--ranker", str(bundle), "--out", "run"]):
        # What breaks off is not the user's fault, and can be run again.
        code = 1 if "/broken" in url else 2
        done = child.scar(*words, code=code)
        (line,) = [line for line in done.splitlines() if "scar: error" in line]
        assert line
        assert child.scar(*words, "--log-json", code=code)
    clean(child)


@pytest.mark.slow
def test_keys_of_the_environment_are_in_no_bundle_card_or_log(encoder, child):
    write_jsonl(child.folder / "tiers.jsonl", [row | {"note": TEXT} for row in tier_rows(12)])
    train = ["--encoder", encoder, "--max_tokens", "32", "--epochs", "1", "--head_width", "8"]
    child.scar("train", "style", "--data", "tiers.jsonl", "--out", "style", *train)
    child.scar("export", "style")
    child.scar("export", "style", "--to-hub-folder", "hub")
    child.scar("eval", "style", "tiers.jsonl")
    child.scar("inspect", "tiers.jsonl", code=0)
    clean(child, text=False)


@pytest.mark.slow
def test_a_hub_that_is_not_to_be_had_is_told_without_the_token(child, tmp_path):
    child.environment |= {"HF_ENDPOINT": f"http://user:{MARK}@127.0.0.1:1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    write_jsonl(child.folder / "tiers.jsonl", tier_rows(4))
    child.scar("train", "style", "--data", "tiers.jsonl", "--out", "s", "--encoder", "some/where", code=2)
    child.scar("inspect", "some/where", code=2)
    clean(child)


def test_a_defect_of_ours_tells_no_key(child):
    """The traceback of a defect holds lines of code, not what stands in the environment."""
    program = (
        "import sys; from scar import cli; cli.COMMANDS['status'] = ('scar.cli.runs', 'nothing', ''); "
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    assert "Traceback" in child.python("-c", program, "status", "run", code=1)
    assert "Traceback" in child.python("-c", program, "status", "run", "--log-json", code=1)
    clean(child)


@pytest.mark.slow
def test_the_text_of_rows_is_not_logged(bundle, child):
    rows = [row | {"response": f"{TEXT} {row['response']}"} for row in pool_rows(6)]
    broken = [
        {"instruction": "a", "response": [TEXT]},
        f'{{"instruction": "{TEXT}"'.encode(),
        {"instruction": TEXT},
    ]
    write_jsonl(child.folder / "pool.jsonl", [*rows, *broken])
    child.scar("score", "pool.jsonl", "--ranker", bundle, "--out", "run")
    child.scar("score", "pool.jsonl", "--ranker", bundle, "--out", "run2", "--log-json")
    child.scar("score", "pool.jsonl", "--ranker", bundle, "--out", "run3", "--strict", "true", code=2)
    child.scar("select", "run", "--top", "3", "--out", "kept.jsonl")
    clean(child)

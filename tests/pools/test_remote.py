"""Pools behind a URL: an S3 that is real but for its disks, memory and files."""

import gzip
import io
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.cli import main
from scar.errors import InputError, RunError
from scar.pools import cut, find, read_chunks, read_pool, recorded
from tests.files import csv_of, lines_of
from tests.make import pool_rows, read_jsonl, write_jsonl
from tests.pools.blocked import refused

boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

ROWS = pool_rows(6)
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush"}


def parquet_of(rows):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


FILES = {
    "pool/a.jsonl": lines_of(ROWS),
    "pool/b.jsonl.gz": gzip.compress(lines_of(ROWS)),
    "pool/deep/c.parquet": parquet_of(ROWS),
    "pool/deep/d.csv": csv_of(ROWS),
    "pool/e.jsonl.zst": pa.compress(lines_of(ROWS), "zstd", asbytes=True),
    "pool/config.json": b"{}",
    "pool/.hidden/f.jsonl": b"rubbish",
    "notes/read.me": b"text",
}


@pytest.fixture(scope="module")
def s3():
    """A client of a server with one bucket; fsspec finds it by the environment."""
    patch = pytest.MonkeyPatch()
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        **KEYS,
    }.items():
        patch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for key, body in FILES.items():
        client.put_object(Bucket="bucket", Key=key, Body=body)
    yield client
    running.stop()
    patch.undo()


def responses(place):
    return [item.response for item in read_pool(place)]


@pytest.mark.parametrize(
    "key", [key for key in FILES if key[-2:] not in ("on", "me") and ".hidden" not in key]
)
def test_a_file_of_any_type_is_read(s3, key):
    assert responses(f"s3://bucket/{key}") == [row["response"] for row in ROWS]


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("s3://bucket/pool", ["a.jsonl", "b.jsonl.gz", "deep/c.parquet", "deep/d.csv", "e.jsonl.zst"]),
        ("s3://bucket/pool/deep/", ["c.parquet", "d.csv"]),
        ("s3://bucket/pool/*.jsonl*", ["a.jsonl", "b.jsonl.gz", "e.jsonl.zst"]),
        ("s3://bucket/pool/?.jsonl", ["a.jsonl"]),
        ("s3://bucket/pool/config.json", ["config.json"]),
    ],
)
def test_a_folder_or_a_glob_is_one_pool(s3, url, names):
    assert [file.name for file in find(url)] == names


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://no-such-bucket/a.jsonl", "no-such-bucket/a.jsonl: no such file, folder or bucket"),
        ("s3://bucket/none.jsonl", "s3://bucket/none.jsonl: no pool files there"),
        ("s3://bucket/notes/read.me", "read.me: no pool files there"),
        ("s3://key:hush@bucket/a.jsonl", "holds a user name or password"),
        ("foo://bucket/a.jsonl", "foo://bucket/a.jsonl: .*Protocol not known"),
        ("s3://[bucket/a.jsonl", "not a URL"),
    ],
)
def test_a_url_without_a_pool_is_named_without_a_secret(s3, url, told):
    with pytest.raises(InputError, match=told) as error:
        find(url)
    assert "hush" not in str(error.value)


def test_a_signature_in_a_url_is_never_shown(tmp_path):
    with pytest.raises(InputError) as error:
        find("http://127.0.0.1:9/a.jsonl?X-Amz-Signature=hush")
    assert "hush" not in str(error.value)
    assert recorded("https://me:hush@host/a.jsonl?sig=hush#x") == ("https://host/a.jsonl",)


def test_score_and_select_by_url_and_a_changed_object_is_noticed(s3, bundle, tmp_path, capsys):
    s3.put_object(Bucket="bucket", Key="own/a.jsonl", Body=lines_of(ROWS))
    run, out = str(tmp_path / "run"), str(tmp_path / "kept.jsonl")
    assert main(["score", "s3://bucket/own", "--ranker", str(bundle), "--out", run]) == 0
    assert json.loads((tmp_path / "run" / "plan.json").read_text())["pool"] == ["s3://bucket/own"]
    assert main(["select", run, "--top", "2", "--out", out, "--no-added-columns"]) == 0
    local = write_jsonl(tmp_path / "local.jsonl", ROWS)
    again = str(tmp_path / "again.jsonl")
    assert (
        main(
            [
                "filter",
                str(local),
                "--ranker",
                str(bundle),
                "--top",
                "2",
                "--out",
                again,
                "--no-added-columns",
            ]
        )
        == 0
    )
    assert read_jsonl(out) == read_jsonl(again) and len(read_jsonl(out)) == 2
    changed = lines_of(ROWS).replace(b"what", b"when")  # of the same length
    s3.put_object(Bucket="bucket", Key="own/a.jsonl", Body=changed)
    capsys.readouterr()
    assert main(["select", run, "--top", "2", "--out", str(tmp_path / "new.jsonl")]) == 2
    assert "s3://bucket/own/a.jsonl: changed since it was scored" in capsys.readouterr().err


def test_a_store_that_does_not_answer_is_one_line():
    message = refused(
        "s3://bucket/a.jsonl", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1", **KEYS
    )
    assert "s3://bucket/a.jsonl: not to be had: EndpointConnectionError" in message
    assert len(message.splitlines()) == 1


@pytest.mark.slow
def test_a_store_that_refuses_is_one_line():
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<Error><Code>InvalidAccessKeyId</Code><Message>No such key.</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    store = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    message = refused("s3://bucket/a.jsonl", AWS_ENDPOINT_URL=f"http://127.0.0.1:{store.server_port}", **KEYS)
    store.shutdown()
    assert message.startswith("s3://bucket/a.jsonl: the store refuses:") and len(message.splitlines()) == 1


def test_memory_and_file_urls_are_pools_too(tmp_path):
    import fsspec

    fsspec.filesystem("memory").pipe("/pool/a.jsonl", lines_of(ROWS))
    write_jsonl(tmp_path / "a b.jsonl", ROWS)
    for place in (
        "memory://pool",
        "memory://pool/a.jsonl",
        f"file://{tmp_path}",
        (tmp_path / "a b.jsonl").as_uri().replace("%20", " "),
    ):
        assert responses(place) == [row["response"] for row in ROWS]
    facts = find("memory://pool")[0].facts()
    assert facts == find(tmp_path)[0].facts() and facts[0] == os.stat(tmp_path / "a b.jsonl").st_size


@pytest.mark.parametrize("module", ["fsspec", "s3fs"])
def test_without_the_client_of_a_store_the_extra_is_named(module):
    assert "s3:// needs the remote extra: pip install 'scar-rank[remote]'" in refused(
        "s3://b/a.jsonl", without=[module]
    )


def test_a_store_whose_client_no_extra_brings_is_told_so():
    assert "az:// needs a package that no extra of ours brings" in refused(
        "az://b/a.jsonl", without=["adlfs"]
    )


@pytest.fixture
def web(tmp_path):
    """A plain web server that knows no ranges and wants a signature; gives its folder and address."""
    from http.server import SimpleHTTPRequestHandler

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def do_GET(self):
            if "sig=hush" in self.path:
                super().do_GET()
            else:
                self.send_error(403)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv"])
def test_a_signed_web_address_is_read_as_a_stream_and_its_signature_stays_out(web, name):
    folder, address = web
    rows = pool_rows(3000)  # more than one block of the client
    body = {"a.jsonl": lines_of(rows), "a.jsonl.gz": gzip.compress(lines_of(rows)), "a.csv": csv_of(rows)}[
        name
    ]
    (folder / name).write_bytes(body)
    url = f"{address}/{name}?sig=hush&part=1"
    (file,) = find(url)
    assert (file.name, file.place) == (name, f"{address}/{name}")
    assert recorded(url, [file]) == (f"{address}/{name}",)
    assert [item.response for item in read_pool(url)] == [row["response"] for row in rows]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_text_on_the_web_is_begun_where_a_chunk_begins(ranges):
    rows, asked, sent = pool_rows(3000), [], []
    body = lines_of(rows)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()

        def do_GET(self):
            part = self.headers["Range"]
            first = int(part.removeprefix("bytes=").removesuffix("-")) if part and ranges else 0
            asked.append(part)
            sent.append(len(body) - first)
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(body) - first))
            self.end_headers()
            self.wfile.write(body[first:])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        files = find(f"http://127.0.0.1:{httpd.server_port}/a.jsonl")
        _, chunks = cut(files, 500)
        asked.clear(), sent.clear()
        told = [row.decode() for _, some in read_chunks(files, chunks[4:]) for row in some]
        httpd.shutdown()
    assert told == rows[2000:]
    assert asked == [f"bytes={chunks[4].offset}-"]
    assert sent == [len(body) - (chunks[4].offset if ranges else 0)]


def test_a_web_address_without_a_file_is_named(web):
    _, address = web
    for path in ("none.jsonl?sig=hush", "none.jsonl", "folder/?sig=hush"):
        with pytest.raises(InputError) as error:
            find(f"{address}/{path}")
        assert "hush" not in str(error.value) and address in str(error.value)


def test_a_web_stream_that_breaks_is_told_and_not_taken_for_the_whole(capsys):
    body = lines_of(pool_rows(500))

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(2 * len(body)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(body)  # and no more, though more was promised

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}/a.jsonl"
        with pytest.raises(RunError, match="a.jsonl: the connection broke .*run the same again"):
            list(read_pool(url))
        assert main(["inspect", url]) == 1
        httpd.shutdown()
    assert capsys.readouterr().err.startswith(f"scar: error: {url}: the connection broke")

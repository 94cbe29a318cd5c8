"""An S3 for tests that is real but for its disks, and a road to it with holes."""

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "us-east-1"}
CODES = {403: "AccessDenied", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}


@contextmanager
def serving():
    """Run a server with one bucket, named `bucket`; fsspec, and processes begun here, find it by the environment."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **KEYS}.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # those of another server
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
        s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@contextmanager
def road(client, holes):
    """Stand between a client and the server: the first requests meet `holes`, statuses or None for a cut connection.

    Gives the address, and a list of what went through as (method, path).
    """
    there, holes, passed = client.meta.endpoint_url.removeprefix("http://"), list(holes), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which can say that it waits for a body

        def do_GET(self):
            self.close_connection = True
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hole = holes.pop(0) if holes else 0
            if hole is None:
                return
            if hole:
                self._answer(
                    hole, {}, f"<Error><Code>{CODES[hole]}</Code><Message>no</Message></Error>".encode()
                )
                return
            passed.append((self.command, self.path))
            beyond = http.client.HTTPConnection(there)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            beyond.request(self.command, self.path, body, headers)
            answer = beyond.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
            beyond.close()

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

        def _answer(self, status, headers, body):
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            length = next((v for n, v in headers.items() if n.lower() == "content-length"), len(body))
            self.send_header("Content-Length", str(length if self.command == "HEAD" else len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", passed
        httpd.shutdown()

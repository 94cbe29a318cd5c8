"""A Hub of one data set, `org/name`, on this machine: as much of its API as opening and streaming asks for."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILE = "data/train-00000-of-00001.parquet"


class Hub:
    """What the server gives out; tests change it."""

    def __init__(self, data):
        self.data = data
        self.commit = "a" * 40
        self.gone = False
        """Whether the file's bytes are refused."""


@contextmanager
def hub(data):
    """Run the server; gives the Hub and the address for HF_ENDPOINT."""
    state = Hub(data)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            code, body, headers = _answer(state, self.path, self.headers.get("Range"))
            self.send_response(code)
            for name, value in {
                **headers,
                "X-Repo-Commit": state.commit,
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _answer(state, url, wanted):
    path = url.partition("?")[0]
    if path == "/api/datasets/org/name" or path.startswith("/api/datasets/org/name/revision/"):
        commit = path.rpartition("/")[2] if "/revision/" in path else state.commit
        return (
            200,
            _json({"id": "org/name", "sha": commit, "tags": [], "siblings": [{"rfilename": FILE}]}),
            {},
        )
    if path.startswith("/api/datasets/org/name/tree/"):
        file = {"type": "file", "oid": "0" * 40, "size": len(state.data), "path": FILE}
        folder = {"type": "directory", "oid": "1" * 40, "path": "data"}
        return 200, _json([file] if path.endswith("/data") else [folder]), {}
    if path.endswith(FILE) and not state.gone:
        if wanted is None:
            return 200, state.data, {"ETag": '"x"', "Accept-Ranges": "bytes"}
        first, last = wanted.removeprefix("bytes=").split("-")
        part = state.data[int(first) : int(last) + 1]
        span = f"bytes {first}-{int(first) + len(part) - 1}/{len(state.data)}"
        return 206, part, {"ETag": '"x"', "Content-Range": span}
    return 404, _json({"error": "Entry not found"}), {"X-Error-Code": "EntryNotFound"}


def _json(value):
    return json.dumps(value).encode()

"""A hub on this machine that takes a push: as much of the protocol as `upload_folder` asks for."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FORBIDDEN = "forbidden"
"""Part of a repository's name: what is pushed there is refused."""


class FakeHub(ThreadingHTTPServer):
    """Keeps what it was sent: files by name, repositories asked for, tokens seen."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.created, self.tokens = {}, [], set()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        self.answer([] if "/tree/" in self.path else {"id": "org/name", "sha": "0" * 40, "siblings": []})

    def do_POST(self):
        self.server.tokens.add(self.headers.get("Authorization"))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answers = {"create": self.create, "preupload": self.preupload, "commit": self.commit}
        step = next((name for name in answers if f"/{name}" in self.path), None)
        if FORBIDDEN in self.path and step == "commit":
            self.answer({"error": "no right to write here"}, 403)
        else:
            self.answer(answers[step](body) if step else {"errors": [], "warnings": []})

    def create(self, body):
        self.server.created.append(json.loads(body))
        asked = self.server.created[-1]
        return {"url": f"{self.server.address}/{asked['organization']}/{asked['name']}", "id": "1"}

    def preupload(self, body):
        names = [file["path"] for file in json.loads(body)["files"]]
        return {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}

    def commit(self, body):
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        url = f"{self.server.address}/org/name/commit/{'0' * 40}"
        return {"success": True, "commitOid": "0" * 40, "commitUrl": url}

    def answer(self, value, code=200):
        payload = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(payload)

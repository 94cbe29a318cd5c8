"""A chat endpoint on this machine that misbehaves by schedule, in the thread of a test."""

import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.make import sentence


def plausible(messages):
    """Answer as a model would: a grade where one is asked for, else a text that differs from the human's."""
    asked = messages[-1]["content"]
    if asked.rstrip().endswith("Score: N"):
        return f"It does what was asked (0-9).\nScore: {6 + len(asked) % 3}"
    if "<material>" in asked:
        return sentence(f"r{asked}", 9, ["whatever"] * 7 + ["clearly"] * 7)
    return sentence(f"d{asked}", 9, ["clearly"] * 15)


def completion(text, finish="stop"):
    message = {"role": "assistant", "content": text}
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7},
    }


class Server(ThreadingHTTPServer):
    """`schedule[n]` is what the n-th attempt at one request meets; after the last all is well."""

    daemon_threads = True

    def __init__(self, schedule=(), delay=0.0, answer=plausible):
        super().__init__(("127.0.0.1", 0), Handler)
        self.schedule, self.delay, self.answer = list(schedule), delay, answer
        self.lock = threading.Lock()
        self.attempts, self.times = Counter(), []
        self.in_flight = self.most_in_flight = 0
        self.keys, self.bodies = set(), []
        self.elsewhere = ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        raw = self.rfile.read(int(self.headers["content-length"]))
        with server.lock:
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            attempt = server.attempts[raw]
            server.attempts[raw] += 1
            server.keys.add(self.headers["authorization"])
            server.times.append(time.monotonic())
            server.bodies.append(json.loads(raw))
        try:
            time.sleep(server.delay)
            step = server.schedule[attempt] if attempt < len(server.schedule) else "good"
            self.act(step, json.loads(raw))
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with server.lock:
                server.in_flight -= 1

    def act(self, step, body):
        acts = {"hang": self.hang, "cut": self.cut, "cut within": self.cut_within}
        if step in acts:
            acts[step]()
        elif step[0].isdigit():
            self.fail(*step.partition(" ")[::2])
        else:
            self.say(*self.answer(step, body))

    def fail(self, status, more):
        message = f"bad header {self.headers['authorization']}" if more == "echo" else f"status {status}"
        wait = {"Retry-After": "0.3"} if status == "429" else {}
        self.say(int(status), json.dumps({"error": {"message": message}}), wait)

    def answer(self, step, body):
        """Give status, text and headers of a step."""
        if step == "good":
            return 200, json.dumps(completion(self.server.answer(body["messages"])))
        told = self.headers["authorization"]
        counts = {"prompt_tokens": 10**4000, "completion_tokens": -3}
        good, echo = json.dumps(completion("x")), json.dumps(completion(f"you sent {told}"))
        return {
            "bad json": (200, '{"choices": ['),
            "no choices": (200, '{"choices": []}'),
            "odd counts": (200, json.dumps(completion("x") | {"usage": counts})),
            "deep": (200, good[:-1] + ',"x":' + "[" * 5000 + "]" * 5000 + "}"),
            "long": (200, json.dumps(completion("x" * 5000))),
            "packed": (200, gzip.compress(good.encode()), {"Content-Encoding": "gzip"}),
            "odd charset": (500, "status 500", {"Content-Type": "text/plain; charset=rot13"}),
            "redirect": (307, "", {"Location": self.server.elsewhere}),
            "echo in text": (200, echo),
            "escaped echo": (200, echo.replace("-", "\\u002d")),
            "late echo": (200, " " * 484 + told),
        }[step]

    def hang(self):
        time.sleep(3)

    def cut(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def cut_within(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices"')
        self.close_connection = True

    def say(self, status, text, headers=()):
        raw = text if isinstance(text, bytes) else text.encode()
        headers = {"Content-Type": "application/json"} | dict(headers)
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments):
        """Say nothing."""


@contextmanager
def serving(*schedule, delay=0.0, answer=plausible):
    """Run a server for the block."""
    server = Server(schedule, delay, answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

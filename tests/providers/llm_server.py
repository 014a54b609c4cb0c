"""A server on this machine that speaks the chat protocols of OpenAI and Anthropic, and misbehaves when told to."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float

    @property
    def prompt(self) -> str:
        return self.body["messages"][-1]["content"]


@dataclass(frozen=True)
class Reply:
    """``text`` in the protocol's words, or ``raw`` bytes as they are; ``pause`` seconds before each of ``pieces``."""

    text: str | None = "An answer."
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    pause: float = 0.0
    pieces: int = 1
    stopped_by: str | None = None
    choices: int = 1


@dataclass
class LlmServer:
    """``script`` holds the replies to come; when it is used up, ``otherwise`` makes one from the request."""

    url: str
    script: list[Reply] = field(default_factory=list)
    otherwise: Callable[[Received], Reply] = lambda received: Reply(f"You said: {received.prompt}")
    received: list[Received] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, received: Received) -> Reply:
        with self.lock:
            self.received.append(received)
            if self.script:
                return self.script.pop(0)
        return self.otherwise(received)


def body_of(path: str, model: str, reply: Reply) -> bytes:
    if reply.raw is not None:
        return reply.raw
    if reply.status >= 400:
        return json.dumps({"error": {"type": "error", "message": reply.text}}).encode()
    if path.endswith("/messages"):
        content = [{"type": "text", "text": reply.text}] * reply.choices if reply.text is not None else []
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": reply.stopped_by or "end_turn",
            "usage": {"input_tokens": 11, "output_tokens": 7},
        }
        return json.dumps(message).encode()
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.stopped_by or "stop",
    }
    completion = {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [choice] * reply.choices,
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }
    return json.dumps(completion).encode()


@contextmanager
def serving() -> Iterator[LlmServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply = server.next(
                Received(
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                    time.monotonic(),
                )
            )
            content = body_of(self.path, body["model"], reply)
            try:
                if reply.pieces == 1:
                    time.sleep(reply.pause)
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                step = -(-len(content) // reply.pieces)
                for start in range(0, len(content), step):
                    if reply.pieces > 1:
                        time.sleep(reply.pause)
                    self.wfile.write(content[start : start + step])
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = LlmServer(f"http://127.0.0.1:{http.server_port}")
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()

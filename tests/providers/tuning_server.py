"""A server on this machine that speaks OpenAI's fine-tuning protocol: it trains nothing, and misbehaves when told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]
STEPS = 12
PAGE = 5
"""Events or jobs that it hands out at once at most, whatever it is asked for."""


@dataclass
class Fault:
    """What one request is answered with in place of the truth; ``done`` is whether the request has its effect all the same."""

    status: int = 500
    headers: Row = field(default_factory=dict)
    raw: bytes = b'{"error": {"message": "out of order"}}'
    done: bool = False


@dataclass
class TuningServer:
    """``stages`` are the states a job goes through, one each time that it is asked for; it stays in the last.

    ``faults`` are used up one by one, by "METHOD what" (files, jobs, job, events, cancel). ``asked`` counts the same.
    """

    url: str
    key: str | None = None
    stages: list[str] = field(default_factory=lambda: ["validating_files", "queued", "running", "succeeded"])
    reason: str = "The training file was refused by moderation."
    files: dict[str, Row] = field(default_factory=dict)
    jobs: dict[str, Row] = field(default_factory=dict)
    events: dict[str, list[Row]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def said(self, job: Row, message: str, **data: float) -> None:
        event = {
            "object": "fine_tuning.job.event", "id": f"ftevent-{len(self.events[job['id']])}", "created_at": 1, "level": "info",
            "message": message, "type": "metrics" if data else "message", "data": data,
        }  # fmt: skip
        self.events[job["id"]].append(event)

    def upload(self, purpose: str, name: str, content: bytes) -> Row:
        file = {"id": f"file-{len(self.files)}", "object": "file", "bytes": len(content), "created_at": 1, "filename": name,
                "purpose": purpose, "status": "processed"}  # fmt: skip
        self.files[file["id"]] = {**file, "content": content}
        return file

    def create(self, body: Row) -> Row:
        assert body["training_file"] in self.files
        job = {
            "object": "fine_tuning.job", "id": f"ftjob-{len(self.jobs)}", "created_at": 1, "error": None, "fine_tuned_model": None,
            "finished_at": None, "hyperparameters": {}, "model": body["model"], "organization_id": "org", "result_files": [],
            "seed": body.get("seed", 1), "status": "validating_files", "trained_tokens": None, "training_file": body["training_file"],
            "validation_file": body.get("validation_file"), "metadata": body.get("metadata"), "method": body["method"],
        }  # fmt: skip
        self.jobs[job["id"]] = {**job, "asked": body, "looks": 0}
        self.events[job["id"]] = []
        self.said(job, "Created fine-tuning job.")
        return job

    def look(self, job: Row) -> Row:
        """One stage on."""
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        job["status"] = (
            "cancelled" if job.get("cancelling") else self.stages[min(job["looks"], len(self.stages) - 1)]
        )
        job["looks"] += 1
        match job["status"]:
            case "running" if len(self.events[job["id"]]) == 1:
                for step in range(1, STEPS + 1):
                    whole = {"full_valid_loss": 1.5 / step} if step % 6 == 0 else {}
                    self.said(job, f"Step {step}/{STEPS}: training loss={1 / step:.2f}", step=step, total_steps=STEPS,
                              train_loss=1 / step, train_mean_token_accuracy=1 - 0.5 / step, **whole)  # fmt: skip
            case "succeeded":
                job |= {
                    "fine_tuned_model": f"ft:{job['model']}:org:{job['asked'].get('suffix', '')}:1",
                    "trained_tokens": 30_000,
                }
                self.said(job, "The job has successfully completed")
            case "failed":
                job["error"] = {
                    "code": "invalid_training_file",
                    "message": self.reason,
                    "param": "training_file",
                }
        return job


def listed(rows: list[Row], query: dict[str, list[str]]) -> Row:
    """A page of what there is, newest first."""
    rows = rows[::-1]
    if after := query.get("after"):
        rows = rows[[row["id"] for row in rows].index(after[0]) + 1 :]
    page = rows[: min(PAGE, int(query["limit"][0]))]
    return {"object": "list", "data": page, "has_more": len(page) < len(rows)}


def uploaded(content_type: str, body: bytes) -> tuple[str, str, bytes]:
    """The purpose, name and content of a multipart upload."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    purpose = parts["purpose"].get_payload(decode=True).decode()
    return purpose, str(parts["file"].get_filename()), parts["file"].get_payload(decode=True)


@contextmanager
def tuning_server() -> Iterator[TuningServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            url = urlsplit(self.path)
            match url.path.removeprefix("/v1/").split("/"):
                case ["files"]:
                    what = "files"
                case ["fine_tuning", "jobs"]:
                    what = "jobs"
                case ["fine_tuning", "jobs", _]:
                    what = "job"
                case ["fine_tuning", "jobs", _, what]:
                    pass
                case _:
                    what = "nothing"
            with server.lock:
                asked = f"{self.command} {what}"
                server.asked[asked] = server.asked.get(asked, 0) + 1
                fault = server.faults[asked].pop(0) if server.faults.get(asked) else None
                if server.key and self.headers["authorization"] != f"Bearer {server.key}":
                    told = json.dumps(
                        {
                            "error": {
                                "message": f"Incorrect API key provided: {self.headers['authorization'][7:]}"
                            }
                        }
                    )
                    fault = Fault(401, raw=told.encode())
                status, found = 200, b""
                if fault is None or fault.done:
                    status, row = self.found(asked, url.path, parse_qs(url.query), body)
                    found = json.dumps(row).encode()
                if fault:
                    status, found = fault.status, fault.raw
            self.send_response(status)
            for name, value in {
                "content-type": "application/json",
                **(fault.headers if fault else {}),
            }.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def found(self, asked: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Row]:
            job = next((job for job in server.jobs.values() if job["id"] in path.split("/")), None)
            match asked:
                case "POST files":
                    return 200, server.upload(*uploaded(self.headers["content-type"], body))
                case "POST jobs":
                    return 200, server.create(json.loads(body))
                case "GET jobs":
                    wanted = {
                        name[9:-1]: value[0] for name, value in query.items() if name.startswith("metadata[")
                    }
                    rows = [
                        job
                        for job in server.jobs.values()
                        if wanted.items() <= (job["metadata"] or {}).items()
                    ]
                    return 200, listed(rows, query)
                case "GET job" if job:
                    return 200, server.look(job)
                case "GET events" if job:
                    return 200, listed(server.events[job["id"]], query)
                case "POST cancel" if job:
                    if job["status"] in ("succeeded", "failed", "cancelled"):
                        return 400, {"error": {"message": "The job has ended."}}
                    job["cancelling"] = True
                    return 200, job
            return 404, {"error": {"message": f"Unknown: {path}"}}

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = TuningServer(f"http://127.0.0.1:{http.server_port}/v1")
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()

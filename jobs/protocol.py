"""The run directory: everything a job is told and everything it tells, as files.

job.json        what to do; written once, before the job starts
inputs/         what to do it on
process.json    which process does it
events.jsonl    what happened, a line an event, progress above all
result.json     how it ended; written last, at once and whole
artifacts/      what came out
log.txt         what the process printed
cancel          there once somebody asked the job to stop
"""

import fcntl
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import psutil  # type: ignore[import-untyped]

Ending = Literal["done", "failed", "cancelled"]
Row = dict[str, Any]


class JobError(Exception):
    """The job cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory; its name is the job's id."""

    path: Path

    @classmethod
    def create(cls, path: Path, kind: str, arguments: Row) -> "Run":
        """Make the directory and its job.json; raises JobError where another job is in it."""
        run = cls(path.absolute())
        if run.job_file.exists():
            raise JobError(f"{path} holds a job already: choose another directory.")
        run.inputs.mkdir(parents=True, exist_ok=True)
        run.artifacts.mkdir(exist_ok=True)
        write_json(run.job_file, {"kind": kind, "arguments": arguments, "created_at": now()})
        return run

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def job_file(self) -> Path:
        return self.path / "job.json"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def result_file(self) -> Path:
        return self.path / "result.json"

    @property
    def process_file(self) -> Path:
        return self.path / "process.json"

    @property
    def cancel_file(self) -> Path:
        return self.path / "cancel"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    def job(self) -> Row:
        """kind, arguments and created_at; raises JobError where there is none."""
        job = read_json(self.job_file)
        if job is None:
            raise JobError(f"{self.path} is not a run directory: it has no readable job.json.")
        return job

    def result(self) -> Row | None:
        """status, reason, finished_at and the job's own figures; None while there is none."""
        return read_json(self.result_file)

    def process(self) -> psutil.Process | None:
        """The process that does this job, if it still runs; another one that has its number by now is not it."""
        row = read_json(self.process_file)
        if row is None:
            return None
        with suppress(psutil.Error):
            process = psutil.Process(row["pid"])
            same = abs(process.create_time() - row["started"]) < 2
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


class Progress:
    """Tells how far a job is, a few times a second at most."""

    def __init__(self, run: Run, total: int, done: int = 0) -> None:
        self.done, self.failed, self._total = done, 0, total
        self._file = run.events_file
        self._told = 0.0
        self.tell()

    def step(self, failed: bool) -> None:
        self.done += not failed
        self.failed += failed
        if time.monotonic() - self._told > 0.25:
            self.tell()

    def tell(self) -> None:
        """Append a progress event: ``done`` and ``failed`` of ``total``."""
        self._told = time.monotonic()
        event = {
            "time": now(),
            "event": "progress",
            "done": self.done,
            "failed": self.failed,
            "total": self._total,
        }
        with appending(self._file) as write:
            write(event)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_json(path: Path, value: Row) -> None:
    """Write the file whole or not at all: a new file, flushed to the disk, takes the old one's place."""
    with replacing(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass"))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends well."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_json(path: Path) -> Row | None:
    """The object in the file; None where there is no such file or it holds no JSON object."""
    with suppress(OSError, ValueError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return None


@contextmanager
def appending(path: Path) -> Iterator[Callable[[Row], None]]:
    """A function that appends one line; a half-written last line, left by a kill, is cut off first."""
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        while size and not _ends_line(file, size):
            size = _last_line_start(file, size)
            file.truncate(size)

        def write(row: Row) -> None:
            file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
            file.flush()

        yield write


def _ends_line(file: BinaryIO, size: int) -> bool:
    file.seek(size - 1)
    return file.read(1) == b"\n"


def _last_line_start(file: BinaryIO, size: int) -> int:
    """Where the last line begins, looking back block by block."""
    while size:
        start = max(0, size - 65_536)
        file.seek(start)
        newline = file.read(size - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0


def read_lines(path: Path) -> Iterator[Row]:
    """The rows of a JSONL file that may be growing: a line that is not whole yet is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            with suppress(ValueError):
                if line.endswith(b"\n"):
                    yield json.loads(line)


def read_lines_at_end(path: Path) -> Iterator[Row]:
    """The rows in the last 8 KiB of a JSONL file, the last one first."""
    if not path.exists():
        return
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8192))
        whole = file.read().split(b"\n")[:-1]
    for line in reversed(whole):
        with suppress(ValueError):
            yield json.loads(line)


def carry_out(run: Run, work: Callable[[Run, Callable[[], bool]], Row]) -> Ending:
    """Do the job in this process: ``work(run, should_stop)`` answers the figures for result.json.

    SIGTERM and Ctrl-C ask it to stop; it then ends as cancelled. What it raises ends it as failed, a JobError
    with its own words. Raises JobError, and touches nothing, where there is no job or another process is at it.
    """
    run.job()
    with _alone(run):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run.result_file.unlink(missing_ok=True)
        run.cancel_file.unlink(missing_ok=True)
        write_json(run.process_file, {"pid": os.getpid(), "started": psutil.Process().create_time()})
        ending: Ending
        figures: Row = {}
        try:
            figures = work(run, stop.is_set)
            ending, reason = ("cancelled", "It was asked to stop.") if stop.is_set() else ("done", None)
        except JobError as error:
            ending, reason = "failed", str(error)
        except Exception as error:
            traceback.print_exc()
            ending, reason = "failed", f"{type(error).__name__}: {error}. The log has more."
        write_json(run.result_file, {"status": ending, "reason": reason, "finished_at": now(), **figures})
        return ending


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    with (run.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobError(
                f"Another process is doing the job in {run.path}: wait for it, or cancel it."
            ) from None
        yield

"""The run directory: everything a job is told and everything it tells, as files.

job.json        what to do; written once, before the job starts
inputs/         what to do it on
process.json    which process does it
events.jsonl    what happened, a line an event: progress, and the metrics of a training
result.json     how it ended; written last, at once and whole
artifacts/      what came out
log.txt         what the process printed
stop.json       there once the job was asked to stop: which process, why, and when it will be killed
"""

import fcntl
import json
import math
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import psutil  # type: ignore[import-untyped]

ASKED = "It was asked to stop."
Ending = Literal["done", "failed", "cancelled"]
Row = dict[str, Any]
_NUMBERS = b"0123456789+-.eT:"
"""What the lines of two metric events with the same names differ in."""


_CAUSES = {
    r"no space left|disk quota|file too large|storagefull": "The disk is full. Free some space, then start it again.",
    r"MemoryError|out of memory|can(no|')t allocate memory": (
        "Memory ran out. Take a smaller batch, shorter texts or a smaller model, then start it again."
    ),
}


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
    def stop_file(self) -> Path:
        return self.path / "stop.json"

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
        """status, reason, finished_at and the job's own figures; None while there is none that can be read."""
        result = read_json(self.result_file)
        return {"reason": None, **result} if result and result.get("status") in get_args(Ending) else None

    def end(self, status: str, reason: str | None, figures: Row | None = None) -> None:
        """Write result.json."""
        ending = {"status": status, "reason": reason, "finished_at": now()}
        write_json(self.result_file, {**ending, **(figures or {})})

    def figures(self) -> Row:
        """The job's own figures in its result."""
        ending = ("status", "reason", "finished_at")
        return {name: value for name, value in (self.result() or {}).items() if name not in ending}

    def process(self) -> psutil.Process | None:
        """The process that does this job, if it still runs; another one that has its number by now is not it."""
        row = read_json(self.process_file) or {}
        with suppress(psutil.Error, KeyError):
            process = psutil.Process(row["pid"])
            same = abs(process.create_time() - row["started"]) < 2
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def asked_to_stop(self) -> Row | None:
        """What the process of this job was told when it was asked to stop: ``ending``, ``reason``, ``kill_at``."""
        stop, process = read_json(self.stop_file), read_json(self.process_file)
        return stop if stop and process and stop.get("pid") == process.get("pid") else None

    def log(self, most: int = 20_000) -> str:
        """The end of what the process printed, ``most`` bytes of it; of a line written over again, what it says last."""
        try:
            with self.log_file.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        return "\n".join(lines[1:] if size > most and len(lines) > 1 else lines)


class Progress:
    """Tells how far a job, or a phase of it, is: a few times a second at most, and when it is through."""

    def __init__(self, run: Run, total: int, done: int = 0, phase: str = "") -> None:
        self.done, self.failed, self.total, self.phase = done, 0, total, phase
        self._file = run.events_file
        self._begun, self._had = time.monotonic(), done
        self._told = 0.0
        self.tell()

    def step(self, failed: bool = False) -> None:
        self.failed += failed
        self.reach(self.done + (not failed))

    def reach(self, done: int) -> None:
        self.done = done
        if self.done + self.failed >= self.total or time.monotonic() - self._told > 0.25:
            self.tell()

    def tell(self) -> None:
        """Append a progress event: ``done`` and ``failed`` of ``total``, the ``seconds_left`` at the pace so far, and of what."""
        self._told = time.monotonic()
        finished = self.done - self._had + self.failed
        pace = (self._told - self._begun) / finished if finished else None
        event = {
            "time": now(),
            "event": "progress",
            "done": self.done,
            "failed": self.failed,
            "total": self.total,
            "seconds_left": pace and pace * (self.total - self.done - self.failed),
            **({"phase": self.phase} if self.phase else {}),
        }
        with appending(self._file) as write:
            write(event)


def metric(run: Run, **values: float | str | None) -> None:
    """Append a metric event: a training's ``step``, ``epoch``, ``loss``, ``accuracy``, ``learning_rate``, ...

    ``fit`` says of which fit, where it is not that of which the figures are.
    A value that is None is left out; NaN and infinity are written as null.
    """
    given = {name: value for name, value in values.items() if value is not None}
    with appending(run.events_file) as write:
        write({"time": now(), "event": "metric", **given})


def metrics(run: Run, most: int = 500) -> list[Row]:
    """The metric events in order, at most about ``most`` evenly spaced ones of each kind, the latest always among them.

    Events of one kind have the same names, so that the few of a validation are not lost among the steps of a training.
    """
    if not run.events_file.exists():
        return []
    kinds: dict[bytes, list[tuple[int, bytes]]] = {}
    with run.events_file.open("rb") as file:
        for number, line in enumerate(file):
            if b'"event": "metric"' in line and line.endswith(b"}\n"):
                kinds.setdefault(line.translate(None, _NUMBERS), []).append((number, line))
    kept = [found for kind in kinds.values() for found in kind[:: -max(1, math.ceil(len(kind) / most))]]
    return [json.loads(line) for _, line in sorted(kept)]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_json(path: Path, value: Row) -> None:
    """Write the file whole or not at all: a new file, flushed to the disk, takes the old one's place."""
    with replacing(path) as file:
        file.write(_to_json(value, indent=1))


def _to_json(value: Row, indent: int | None = None) -> bytes:
    """JSON that every reader takes: NaN and infinity, which it lacks, become null, and numbers of any kind plain ones."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return text.encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case None | str() | int():
            return value
    number = float(value)
    return number if math.isfinite(number) else None


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
            file.write(_to_json(row) + b"\n")
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
    """The rows of a JSONL file, the last one first, as far back as they are asked for and at most about 1 MiB."""
    if not path.exists():
        return
    with path.open("rb") as file:
        start = size = file.seek(0, os.SEEK_END)
        begun, unfinished = b"", True
        while start > max(0, size - 1_048_576):
            end, start = start, max(0, start - 8192)
            file.seek(start)
            begun, *lines = (file.read(end - start) + begun).split(b"\n")
            if start == 0:
                lines = [begun, *lines]
            if unfinished and lines:
                lines.pop()
                unfinished = False
            for line in reversed(lines):
                with suppress(ValueError):
                    yield json.loads(line)


def carry_out(run: Run, work: Callable[[Run, Callable[[], bool]], Row]) -> Ending:
    """Do the job in this process: ``work(run, should_stop)`` answers the figures for result.json.

    SIGTERM and Ctrl-C ask it to stop; it then ends as it was told, or as cancelled. What it raises ends it as failed, a
    JobError with its own words. Raises JobError, and touches nothing, where there is no job or another process is at it.
    """
    run.job()
    with _alone(run):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run.result_file.unlink(missing_ok=True)
        write_json(run.process_file, process_row(psutil.Process()))
        ending: Ending
        figures: Row = {}
        try:
            with _room_for_the_result(run):
                figures = work(run, stop.is_set)
            ending, reason = "done", None
            if stop.is_set():
                asked = run.asked_to_stop() or {"ending": "cancelled", "reason": ASKED}
                ending, reason = asked["ending"], asked["reason"]
        except JobError as error:
            ending, reason = "failed", str(error)
        except Exception as error:
            with suppress(OSError):
                traceback.print_exc()
            ending, reason = "failed", explain(error)
        run.end(ending, reason, figures)
        return ending


def process_row(process: psutil.Process) -> Row:
    """What process.json says, to know the process by later on."""
    return {"pid": process.pid, "started": process.create_time(), "oom_kills": oom_kills()}


def oom_kills() -> int:
    """How many processes this machine has killed for want of memory; 0 where it does not tell."""
    with suppress(OSError):
        found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def explain(error: Exception) -> str:
    """What went wrong in the words of a job's reason, with what to do about a full disk or want of memory."""
    text = f"{type(error).__name__}: {error}"
    for pattern, cause in _CAUSES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return f"{cause} ({text})"
    return f"{text.rstrip('.')}. The log has more."


@contextmanager
def _room_for_the_result(run: Run) -> Iterator[None]:
    """Keep a little of the disk back, so that a job that fills it can still say so."""
    ballast = run.path / ".ballast"
    try:
        ballast.write_bytes(os.urandom(16_384))
        yield
    finally:
        ballast.unlink(missing_ok=True)


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

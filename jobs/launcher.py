"""Starts, watches and cancels jobs. All it knows is in the run directories, so a restarted app finds its jobs again."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]

from jobs.protocol import JobError, Row, Run, now, read_lines_at_end, write_json

ROOT = Path(__file__).resolve().parent.parent
State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job stands; ``reason`` says why it failed or was cancelled, ``result`` is result.json once it is there.

    ``done`` and ``failed`` of ``total`` are items of the job; all are 0 before the first progress event.
    """

    state: State
    reason: str | None = None
    done: int = 0
    failed: int = 0
    total: int = 0
    result: Row | None = None


class Launcher:
    """Jobs under one directory, a subprocess each; one launcher per app process."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def create(self, job_id: str, kind: str, arguments: Row) -> Run:
        """A queued job; put its inputs into ``run.inputs`` before it is started."""
        return Run.create(self._root / job_id, kind, arguments)

    def start(self, run: Run, environment: Mapping[str, str] | None = None) -> None:
        """Start the job, or start it again to go on where it stopped; ``environment`` holds keys, which no file gets.

        The process outlives this one. Raises JobError where the job is running.
        """
        process = self._process(run)
        if process and run.result() is not None:  # its work is done and it is about to end
            with suppress(psutil.TimeoutExpired):
                process.wait(10)
        if self._process(run):
            raise JobError(f"Job {run.id} is running.")
        kind = str(run.job()["kind"])
        for file in (run.result_file, run.cancel_file, run.process_file):
            file.unlink(missing_ok=True)
        with run.log_file.open("ab") as log:
            self._children[run.path] = subprocess.Popen(
                [sys.executable, "-m", "jobs", kind, str(run.path)],
                cwd=ROOT,
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def status(self, run: Run) -> Status:
        """Read where the job stands; cheap enough to poll."""
        process = self._process(run)
        result = run.result()
        last = next((e for e in read_lines_at_end(run.events_file) if e.get("event") == "progress"), {})
        done, failed, total = (int(last.get(name, 0)) for name in ("done", "failed", "total"))
        state: State
        if result:
            state, reason = result["status"], result["reason"]
        elif process:
            state, reason = "running", None
        elif run.path not in self._children and not run.process_file.exists():
            state, reason = "queued", None
        elif run.cancel_file.exists():
            state, reason = "cancelled", "It was asked to stop and had to be killed."
        else:
            state, reason = "failed", self._how_it_ended(run)
        return Status(state, reason, done, failed, total, result)

    def cancel(self, run: Run, grace: float = 15.0) -> None:
        """Ask the job to stop, and kill it ``grace`` seconds later if it has not; returns at once."""
        process = self._process(run)
        if process:
            run.cancel_file.touch()
            with suppress(psutil.NoSuchProcess):
                process.terminate()
            timer = threading.Timer(grace, _kill, [process])
            timer.daemon = True
            timer.start()
        elif self.status(run).state == "queued":
            ending = {
                "status": "cancelled",
                "reason": "It was cancelled before it started.",
                "finished_at": now(),
            }
            write_json(run.result_file, ending)

    def _process(self, run: Run) -> psutil.Process | None:
        child = self._children.get(run.path)
        if child and child.poll() is None:
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(child.pid)
        return run.process()

    def _how_it_ended(self, run: Run) -> str:
        child = self._children.get(run.path)
        code = child.returncode if child else None
        if code is None:
            how = "Its process is gone: it was killed, or the machine restarted."
        elif code < 0:
            hint = " (often because memory ran out)" if -code == signal.SIGKILL else ""
            how = f"Its process was ended by {signal.Signals(-code).name}{hint}."
        else:
            lines = run.log_file.read_text("utf-8", "replace").strip().split("\n")
            how = f"Its process ended with exit code {code}: {lines[-1][:300]}"
        return f"{how} Start it again to go on where it stopped."


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            one.kill()

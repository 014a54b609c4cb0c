"""Starts, watches and stops jobs. All it knows is in the run directories, so a restarted app finds its jobs again."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import psutil  # type: ignore[import-untyped]

from jobs.protocol import (
    ASKED,
    Ending,
    JobError,
    Row,
    Run,
    explain,
    oom_kills,
    process_row,
    read_json,
    read_lines_at_end,
    write_json,
)

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 30.0
NICENESS = 19
AGAIN = "Start it again to go on where it stopped."
State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a job stands; ``reason`` says why it failed or was cancelled, ``result`` is result.json once it is there.

    A running job has a ``reason`` once it was asked to stop. ``done`` and ``failed`` of ``total`` are items of the job; all
    are 0 before the first progress event. ``seconds_left`` is at the pace since it started. A training goes by phases, such
    as "embedding" or "training: once more on all pairs", each with a count and a time of its own.
    """

    state: State
    reason: str | None = None
    done: int = 0
    failed: int = 0
    total: int = 0
    seconds_left: float | None = None
    phase: str = ""
    result: Row | None = None


class Launcher:
    """Jobs under one directory, a subprocess each; one launcher per app process.

    A job is queued, then running, then done, failed or cancelled; one that did not come to its end can be queued again.
    ``command`` is what runs a job, before its kind and its run directory.
    """

    def __init__(self, root: Path) -> None:
        self.command = [sys.executable, "-X", "faulthandler", "-m", "jobs"]
        self._root = root.absolute()
        self._children: dict[Path, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()

    def create(self, job_id: str, kind: str, arguments: Row) -> Run:
        """A queued job; put its inputs into ``run.inputs`` before it is started."""
        return Run.create(self._root / job_id, kind, arguments)

    def start(self, run: Run, environment: Mapping[str, str] | None = None) -> None:
        """Start a queued job; ``environment`` holds keys, which no file gets.

        The process outlives this one, and gives way to the app where both want a core. Raises JobError where the job is
        not queued.
        """
        with self._lock:
            if (state := self.status(run).state) != "queued":
                raise JobError(f"Job {run.id} is {state}.")
            with run.log_file.open("ab") as log:
                child = subprocess.Popen(
                    [*self.command, str(run.job()["kind"]), str(run.path)],
                    cwd=ROOT,
                    env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._children[run.path] = child
            with suppress(psutil.Error):
                process = psutil.Process(child.pid)
                write_json(run.process_file, process_row(process))
                process.nice(min(19, process.nice() + NICENESS))
            with suppress(
                OSError
            ):  # Linux weighs sessions first, where it groups by them, and niceness within one
                Path(f"/proc/{child.pid}/autogroup").write_text(str(NICENESS))

    def queue_again(self, run: Run) -> None:
        """Have a job that ended go on where it stopped. Raises JobError where it has not ended."""
        process = self._process(run)
        if process and run.result():  # its work is done and it is about to end
            with suppress(psutil.TimeoutExpired):
                process.wait(10)
        with self._lock:
            if self._process(run) or self.status(run).state == "queued":
                raise JobError(f"Job {run.id} is {self.status(run).state}.")
            self._children.pop(run.path, None)
            for file in (run.stop_file, run.process_file, run.result_file):
                file.unlink(missing_ok=True)

    def status(self, run: Run) -> Status:
        """Read where the job stands; cheap enough to poll."""
        process = self._process(run)
        result = run.result()
        last = next((e for e in read_lines_at_end(run.events_file) if e.get("event") == "progress"), {})
        done, failed, total = (int(last.get(name, 0)) for name in ("done", "failed", "total"))
        state: State
        reason: str | None
        if not run.job_file.exists():
            state, reason = "failed", "Its run directory is gone."
        elif result:
            state, reason = result["status"], result["reason"]
        elif process:
            state, reason = "running", (run.asked_to_stop() or {}).get("reason")
        elif (
            run.path not in self._children and not run.process_file.exists() and not run.result_file.exists()
        ):
            state, reason = "queued", None
        elif asked := run.asked_to_stop():
            state, reason = asked["ending"], asked["reason"]
        else:
            state, reason = "failed", self._how_it_ended(run)
        left = last.get("seconds_left") if state == "running" else None
        return Status(state, reason, done, failed, total, left, last.get("phase", ""), result)

    def settle(self, run: Run) -> Status:
        """The status, which for a job that died without a result becomes its result, so that the reason stands."""
        with self._lock:
            status = self.status(run)
            if status.state in get_args(Ending) and status.result is None and run.job_file.exists():
                run.end(status.state, status.reason)
        return status

    def stop(
        self, run: Run, ending: Ending = "cancelled", reason: str = ASKED, grace: float = GRACE_SECONDS
    ) -> bool:
        """Ask the job to stop and to end so; one that has not ``grace`` seconds later, ``attend`` kills.

        False where there was nothing to stop: it has ended, or was asked before.
        """
        with self._lock:
            process = self._process(run)
            state = self.status(run).state
            if state == "queued":
                run.end("cancelled", "It was cancelled before it started.")
            elif process and state == "running" and not run.asked_to_stop():
                told = {"ending": ending, "reason": reason, "kill_at": time.time() + grace}
                with suppress(OSError):  # a full disk must not keep it from being stopped
                    write_json(run.stop_file, {"pid": process.pid, **told})
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            else:
                return False
        return True

    def attend(self, run: Run, time_limit: float | None = None, grace: float = GRACE_SECONDS) -> None:
        """Ask a job to stop that runs for more than ``time_limit`` seconds; kill one that was asked and did not."""
        with self._lock:
            process = self._process(run)
            if not process:
                return
            if not run.job_file.exists():
                _kill(process)
            elif asked := run.asked_to_stop():
                if time.time() > asked["kill_at"]:
                    reason = f"{asked['reason']} It did not stop in time and was killed."
                    with suppress(OSError):
                        write_json(run.stop_file, {**asked, "reason": reason})
                    _kill(process)
            elif time_limit and not run.result() and time.time() - process.create_time() > time_limit:
                limit = timedelta(seconds=time_limit)
                self.stop(run, "failed", f"It reached its time limit of {limit}. {AGAIN}", grace)

    def _process(self, run: Run) -> psutil.Process | None:
        child = self._children.get(run.path)
        if child and child.poll() is None:
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(child.pid)
        return run.process()

    def _how_it_ended(self, run: Run) -> str:
        child = self._children.get(run.path)
        code = child.returncode if child else None
        began = read_json(run.process_file) or {}
        if shutil.disk_usage(run.path).free < 65_536:
            return explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if code in (None, -signal.SIGKILL) and oom_kills() > began.get("oom_kills", sys.maxsize):
            return explain(MemoryError("the system ended a process for want of memory while this one ran"))
        if code is None:
            how = "Its process is gone: it was killed, or the machine restarted."
        elif code < 0:
            hint = " (often because memory ran out)" if -code == signal.SIGKILL else ""
            how = f"Its process was ended by {signal.Signals(-code).name}{hint}."
        elif run.result_file.exists():
            how = "Its result.json cannot be read."
        else:
            last = run.log().strip().rpartition("\n")[2]
            how = f"Its process ended with exit code {code}: {last[:300]}"
        return f"{how} {AGAIN}"


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            one.kill()

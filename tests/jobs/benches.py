"""Jobs of the tests' own worker on a real store."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from jobs import ingest
from jobs.launcher import Status
from jobs.protocol import Run
from storage import jobs as job_rows
from storage.tables import JobRow
from storage.workbench import Workbench

WORKER = Path(__file__).with_name("worker.py")


def with_test_worker(bench: Workbench) -> Workbench:
    ingest.launcher(bench.settings.runs_dir).command = [sys.executable, str(WORKER)]
    return bench


def queue(
    bench: Workbench,
    label: str = "a job",
    *,
    priority: int = 0,
    time_limit: float | None = None,
    **arguments: object,
) -> JobRow:
    """Queue a job of a kind that leaves nothing in the store."""
    return ingest.start(bench, "test", label, "ann", None, arguments, lambda run: None, priority, time_limit)


def until(what: Callable[[], object], bench: Workbench | None = None, seconds: float = 120) -> None:
    """Wait until ``what()`` is true, looking after the jobs of ``bench`` meanwhile."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        if bench:
            ingest.advance(bench)
        time.sleep(0.05)


def ended(bench: Workbench, job: JobRow, seconds: float = 120) -> tuple[JobRow, Status]:
    """The job as the store has it once its end is taken in, and its status."""
    until(lambda: stored(bench, job).ingested, bench, seconds)
    row = stored(bench, job)
    return row, ingest.status(bench, row)


def stored(bench: Workbench, job: JobRow) -> JobRow:
    row = job_rows.get(bench.store, job.id)
    assert row is not None
    return row


def steps(run: Run) -> int:
    return run.events_file.read_bytes().count(b'"metric"') if run.events_file.exists() else 0

"""Jobs as the app sees them: started from a page, watched, and taken into the store when they end, once."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from core.generation import Failure, Side
from core.records import Pair, Parsed, Prompt, Refusal
from jobs import generate_pairs
from jobs.launcher import Launcher, Status
from jobs.protocol import Run
from providers import environment
from storage import jobs as job_rows
from storage import pairs
from storage.prompts import Report
from storage.store import new_id
from storage.tables import JobRow
from storage.workbench import Workbench

logger = logging.getLogger(__name__)
POLL_SECONDS = 1.0
_one_at_a_time = threading.Lock()


@cache
def launcher(runs_dir: Path) -> Launcher:
    """The process's launcher for a runs folder."""
    return Launcher(runs_dir)


def start_generation(
    bench: Workbench,
    prompts: Sequence[Prompt],
    campaign_id: str,
    a: Side,
    b: Side,
    workers: int,
    actor: str,
    candidates: int = 2,
) -> JobRow:
    """Start a job that has each prompt answered; its pairs enter the campaign when it ends. Raises ValueError."""
    now = datetime.now(UTC)
    label = f"{len(prompts)} prompts · {a.provider} and {b.provider}"
    row = JobRow(
        id=new_id("job"),
        kind=generate_pairs.KIND,
        label=label,
        campaign_id=campaign_id,
        actor=actor,
        created_at=now,
    )
    jobs = launcher(bench.settings.runs_dir)
    run = jobs.create(row.id, row.kind, generate_pairs.arguments(a, b, workers, candidates))
    generate_pairs.write_prompts(run, prompts)
    job_rows.add(bench.store, row)
    jobs.start(run, environment(bench.settings))
    return row


def listed(bench: Workbench, limit: int = 20) -> list[tuple[JobRow, Status]]:
    """The latest jobs, newest first, with where each stands."""
    return [(row, status(bench, row)) for row in job_rows.listed(bench.store, limit)]


def status(bench: Workbench, job: JobRow) -> Status:
    jobs = launcher(bench.settings.runs_dir)
    return jobs.status(_run(bench, job))


def cancel(bench: Workbench, job: JobRow, actor: str) -> None:
    """Stop a job; what it has done so far is kept and taken in."""
    launcher(bench.settings.runs_dir).cancel(_run(bench, job))
    job_rows.cancelled(bench.store, job.id, actor)


def resume(bench: Workbench, job: JobRow, actor: str) -> None:
    """Start a job again that failed or was cancelled; it goes on where it stopped."""
    with _one_at_a_time:
        launcher(bench.settings.runs_dir).start(_run(bench, job), environment(bench.settings))
        job_rows.resumed(bench.store, job.id, actor)


def failures(bench: Workbench, job: JobRow) -> list[Failure]:
    """The prompts that have no pair so far, with the last reason of each."""
    found: dict[str, Failure] = {}
    for result in generate_pairs.read_results(_run(bench, job)):
        if isinstance(result, Failure):
            found[result.prompt_id] = result
        else:
            found.pop(result.prompt.id, None)
    return list(found.values())


def take_in(bench: Workbench) -> list[Report]:
    """Take in, once, what every job that has ended left behind; one that cannot be taken in does not hold up others."""
    with _one_at_a_time:
        reports = []
        for job in job_rows.waiting(bench.store):
            if status(bench, job).state not in ("done", "failed", "cancelled"):
                continue
            try:
                reports.append(_take_pairs(bench, job))
                job_rows.taken_in(bench.store, job.id)
            except Exception:
                logger.exception("What job %s left could not be taken in; it will be tried again.", job.id)
        return reports


def _take_pairs(bench: Workbench, job: JobRow) -> Report:
    parsed: Parsed[Pair] = Parsed([], [])
    for number, result in enumerate(generate_pairs.read_results(_run(bench, job)), start=1):
        if isinstance(result, Failure):
            parsed.refused.append(Refusal(number, None, result.reason))
        else:
            parsed.rows.append((number, result))
    assert job.campaign_id is not None
    return pairs.add(bench.store, bench.desks, parsed, job.campaign_id, job.actor, source=f"job {job.id}")


def _run(bench: Workbench, job: JobRow) -> Run:
    return Run((bench.settings.runs_dir / job.id).absolute())


@contextmanager
def watch(bench: Workbench) -> Iterator[None]:
    """Take ended jobs in, from a thread, until the block ends."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(POLL_SECONDS):
            try:
                take_in(bench)
            except Exception:
                logger.exception("A job's result could not be taken in; it will be tried again.")

    thread = threading.Thread(target=loop, name="ingest", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

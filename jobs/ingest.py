"""Jobs as the app sees them: queued from a page, watched, and taken into the store when they end, once.

Jobs that compute share the slots of ATTUNE_JOB_SLOTS; those that wait on a provider have LIGHT_SLOTS of their own, so that a
long training holds up no generation. Of those that wait for a slot, the highest priority goes first, then the oldest.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import cast

from core.generation import Failure, Side
from core.records import Pair, Parsed, Prompt, Refusal
from jobs import drift, drift_runs, fine_tune, generate_pairs, models
from jobs.launcher import Launcher, State, Status
from jobs.protocol import JobError, Row, Run
from providers import environment
from storage import jobs as job_rows
from storage import pairs
from storage.store import new_id
from storage.tables import JobRow
from storage.workbench import Workbench

logger = logging.getLogger(__name__)
POLL_SECONDS = 1.0
LIGHT_SLOTS = 4
ASK_PROVIDERS = (generate_pairs.KIND, fine_tune.KIND)
"""Kinds of job that get the providers' keys."""
_taking = threading.Lock()
_starting = threading.Lock()


@cache
def launcher(runs_dir: Path) -> Launcher:
    """The process's launcher for a runs folder."""
    return Launcher(runs_dir)


def start(
    bench: Workbench,
    kind: str,
    label: str,
    actor: str,
    campaign_id: str | None,
    arguments: Row,
    write_inputs: Callable[[Run], object],
    priority: int = 0,
    time_limit: float | None = None,
) -> JobRow:
    """Queue a job and start it as soon as a slot is free; ``write_inputs`` freezes what it works on in ``run.inputs``.

    ``time_limit`` is in seconds of running. What ``write_inputs`` raises is raised, and leaves nothing behind.
    """
    row = JobRow(
        id=new_id("job"),
        kind=kind,
        label=label,
        campaign_id=campaign_id,
        actor=actor,
        priority=priority,
        time_limit=time_limit,
        created_at=datetime.now(UTC),
    )
    run = _launcher(bench).create(row.id, kind, arguments)
    try:
        write_inputs(run)
        job_rows.add(bench.store, row)
    except BaseException:
        shutil.rmtree(run.path)
        raise
    fill_slots(bench)
    return row


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
    """Queue a job that has each prompt answered; its pairs enter the campaign when it ends. Raises ValueError."""
    return start(
        bench,
        generate_pairs.KIND,
        f"{len(prompts):,} prompts · {a.provider} and {b.provider}",
        actor,
        campaign_id,
        generate_pairs.arguments(a, b, workers, candidates),
        lambda run: generate_pairs.write_prompts(run, prompts),
    )


def listed(
    bench: Workbench, limit: int = 20, kinds: Sequence[str] = (), campaign_id: str | None = None
) -> list[tuple[JobRow, Status]]:
    """The latest jobs (of ``kinds`` and of a campaign, where given), newest first, with where each stands."""
    return [(row, status(bench, row)) for row in job_rows.listed(bench.store, limit, kinds, campaign_id)]


def status(bench: Workbench, job: JobRow) -> Status:
    """Where the job stands; how it ended outlives its run directory."""
    run = run_of(bench, job)
    found = _launcher(bench).status(run)
    return replace(found, state=cast(State, job.state)) if job.state and not run.job_file.exists() else found


def run_of(bench: Workbench, job: JobRow) -> Run:
    """The job's run directory: its log, metrics and artifacts."""
    return Run((bench.settings.runs_dir / job.id).absolute())


def cancel(bench: Workbench, job: JobRow, actor: str) -> bool:
    """Stop a job, politely at first; what it has done so far is kept. False where it has ended or was asked before."""
    stopped = _launcher(bench).stop(run_of(bench, job))
    if stopped:
        job_rows.cancelled(bench.store, job.id, actor)
    return stopped


def can_go_on(run: Run, status: Status) -> bool:
    """Whether the job failed, was cancelled or left items undone, and its run directory is there."""
    undone = status.state in ("failed", "cancelled") or (status.state == "done" and status.failed > 0)
    return undone and run.job_file.exists()


def resume(bench: Workbench, job: JobRow, actor: str) -> None:
    """Queue a job again that can go on; it does so where it stopped. Raises JobError where it cannot."""
    run = run_of(bench, job)
    with _taking:
        if not can_go_on(run, now := status(bench, job)):
            if now.state in ("queued", "running"):
                why = "cancel it first"
            else:
                why = "there is nothing left to do" if run.job_file.exists() else "its run directory is gone"
            raise JobError(f"Job {job.id} is {now.state}: {why}.")
        _launcher(bench).queue_again(run)
        job_rows.resumed(bench.store, job.id, actor)
    fill_slots(bench)


def fill_slots(bench: Workbench) -> None:
    """Start the jobs whose turn it is."""
    jobs = _launcher(bench)
    with _starting:
        found = [(job, run_of(bench, job)) for job in job_rows.waiting(bench.store)]
        for light, slots in ((False, bench.settings.job_slots), (True, LIGHT_SLOTS)):
            these = [(job, run, jobs.status(run).state) for job, run in found if is_light(run) == light]
            free = slots - sum(state == "running" for *_, state in these)
            for job, run in [(job, run) for job, run, state in these if state == "queued"][: max(0, free)]:
                keys = environment(bench.settings) if job.kind in ASK_PROVIDERS else {}
                try:
                    jobs.start(run, {"ATTUNE_DATA_DIR": str(bench.settings.data_dir.absolute()), **keys})
                except JobError as error:
                    logger.info("%s", error)
                except OSError:
                    logger.exception("Job %s could not be started; it will be tried again.", job.id)


def is_light(run: Run) -> bool:
    """Whether the job's work is waiting: generation computes only where it loads a model itself."""
    try:
        job = run.job()
    except JobError:
        return False
    sides = [job["arguments"].get(side, {}).get("provider") for side in ("side_a", "side_b")]
    return job["kind"] in ASK_PROVIDERS and "hf_local" not in sides


def failures(bench: Workbench, job: JobRow) -> list[Failure]:
    """The prompts that have no pair so far, with the last reason of each."""
    found: dict[str, Failure] = {}
    for result in generate_pairs.read_results(run_of(bench, job)):
        if isinstance(result, Failure):
            found[result.prompt_id] = result
        else:
            found.pop(result.prompt.id, None)
    return list(found.values())


def take_in(bench: Workbench) -> list[str]:
    """Take in, once, what every job that has ended left behind; answers which jobs these were.

    One that cannot be taken in now does not hold up the others; one whose result is of no use is a failed job.
    """
    taken = []
    with _taking:
        for job in job_rows.waiting(bench.store):
            run = run_of(bench, job)
            try:
                state = _launcher(bench).settle(run).state
                if state in ("queued", "running"):
                    continue
                try:
                    _take(bench, job, run, state)
                except JobError as error:
                    state = "failed"
                    run.end(state, f"What it made cannot be used: {error}", run.figures())
                job_rows.taken_in(bench.store, job.id, state)
                taken.append(job.id)
            except Exception:
                logger.exception("What job %s left could not be taken in; it will be tried again.", job.id)
    return taken


def _take(bench: Workbench, job: JobRow, run: Run, state: State) -> None:
    """Each step may have been done by an app that died before the next; JobError: the result is of no use."""
    if job.kind == generate_pairs.KIND:
        _take_pairs(bench, job, run)
    elif state == "done" and job.kind in models.REGISTERS:
        models.take_model(bench, job, run)
    elif state == "done" and job.kind == models.PROBES:
        models.take_probe(bench, job, run)
    elif state == "done" and job.kind == drift.KIND:
        drift_runs.take(bench, job, run)


def _take_pairs(bench: Workbench, job: JobRow, run: Run) -> None:
    """The pairs a generation has so far, however it ended: those that are in the campaign already are left out."""
    parsed: Parsed[Pair] = Parsed([], [])
    for number, result in enumerate(generate_pairs.read_results(run), start=1):
        if isinstance(result, Failure):
            parsed.refused.append(Refusal(number, None, result.reason))
        else:
            parsed.rows.append((number, result))
    assert job.campaign_id is not None
    pairs.add(bench.store, bench.desks, parsed, job.campaign_id, job.actor, source=f"job {job.id}")


def _launcher(bench: Workbench) -> Launcher:
    return launcher(bench.settings.runs_dir)


def advance(bench: Workbench) -> None:
    """One look at all jobs: stop those over their time, take in those that ended, start those whose turn it is."""
    for job in job_rows.waiting(bench.store):
        _launcher(bench).attend(run_of(bench, job), job.time_limit)
    take_in(bench)
    fill_slots(bench)


@contextmanager
def watch(bench: Workbench) -> Iterator[None]:
    """Look after the jobs, those of an earlier process too, and write down what was served, from a thread until the block ends."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            try:
                advance(bench)
                bench.served.write(over=True)
            except Exception:
                logger.exception("The jobs could not be looked after; it will be tried again.")
            stop.wait(POLL_SECONDS)

    thread = threading.Thread(target=loop, name="ingest", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        bench.served.write()

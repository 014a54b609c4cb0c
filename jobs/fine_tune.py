"""A model fine-tuned at a provider: files uploaded, a job submitted once, followed until it ends, its losses written down.

inputs/train.jsonl        the examples, in the provider's shape
inputs/validation.jsonl   those held out for its validation, if any
provider.json             what the provider calls them, and how far it was: train, validation, job, status, and the last event

A run that was stopped goes on with the job it has submitted, which bears its mark. A job that failed or was cancelled
at the provider does not go on: its run submits a new one.
"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from core.exporting import to_jsonl
from core.fine_tuning import ENDED, Event, Plan, Tuning, TuningJob
from core.generation import ProviderError
from core.settings import SettingsError, load
from jobs.protocol import JobError, Progress, Row, Run, metric, read_json, replacing, write_json
from providers import connect_tuning

if TYPE_CHECKING:
    from providers.openai_tuning import OpenAITuning

KIND = "fine-tune"
FIRST_WAIT, LONGEST_WAIT = 1.0, 15.0
"""Seconds between two looks, growing: what a provider refuses it refuses soon, and a training takes hours."""
CANCEL_SECONDS = 20.0
MISSES = 20
"""So many looks in a row may fail, a few minutes of an outage, before the run gives up; it can go on later."""
PHASES = {
    "validating_files": "waiting for the provider to check the files",
    "queued": "waiting in the provider's queue",
    "running": "training",
}
METRICS = {
    "loss": "train_loss",
    "token_accuracy": "train_mean_token_accuracy",
    "held_out_loss": "full_valid_loss",
}
"""What a provider's figures of a step are called here."""


def arguments(plan: Plan, first_wait: float = FIRST_WAIT) -> Row:
    """What job.json says of this job."""
    return {"tuning": asdict(plan.tuning), "estimate": estimate(plan), "first_wait": first_wait}


def estimate(plan: Plan) -> Row:
    """How many examples are to be sent and about what they cost, as JSON."""
    return {
        "examples": len(plan.train),
        "validation": len(plan.validation),
        "kept_back": plan.kept_back,
        "tokens": plan.tokens,
        "cost": plan.cost,
    }


def freeze(run: Run, plan: Plan) -> None:
    """Write the examples that are to be sent."""
    for name, rows in (("train", plan.train), ("validation", plan.validation)):
        if rows:
            with replacing(run.inputs / f"{name}.jsonl") as file:
                file.write(to_jsonl(rows))


def noted(run: Run) -> Row:
    """What the provider calls the files and the job, how that stands, and the last event: train, validation, job, status, event."""
    return read_json(run.path / "provider.json") or {}


def work(run: Run, should_stop: Callable[[], bool]) -> Row:
    """Do the job; answers the provider's job, its model, and what it cost. Raises JobError."""
    told = run.job()["arguments"]
    tuning = Tuning(**told["tuning"])
    try:
        tuner = connect_tuning(load())
        job = _submitted(run, tuner, tuning, should_stop)
        if job is None:
            return {}
        job = _followed(run, tuner, job, told["first_wait"], should_stop)
    except (ProviderError, SettingsError) as error:
        raise JobError(str(error)) from error
    if job.status == "failed":
        why = (job.reason or "it gave no reason").rstrip(".")
        raise JobError(f"{tuner.name} failed the job: {why}. Going on submits a new one.")
    if job.status == "cancelled" and not should_stop():
        raise JobError(f"The job was cancelled at {tuner.name}, not from here.")
    return {
        "provider_job": job.id,
        "fine_tuned_model": job.model,
        "trained_tokens": job.trained_tokens,
        "cost": None if job.trained_tokens is None else tuning.cost(job.trained_tokens),
    }


def _submitted(
    run: Run, tuner: "OpenAITuning", tuning: Tuning, should_stop: Callable[[], bool]
) -> TuningJob | None:
    """The provider's job of this run, submitted if there is none; None where the run is to stop before."""
    known = noted(run).get("job")
    job = tuner.get(known) if known else None
    if job and job.status in ("failed", "cancelled"):
        write_json(run.path / "provider.json", {})
        job = None
    if job is None:
        for name in ("train", "validation"):
            path = run.inputs / f"{name}.jsonl"
            if path.exists() and name not in noted(run) and not should_stop():
                Progress(run, 1, phase=f"sending {path.name}")
                _note(run, **{name: tuner.upload(path)})
        if should_stop():
            return None
        files = noted(run)
        job = tuner.submit(run.id, tuning, files["train"], files.get("validation"))
    print(f"{tuner.name} has the job as {job.id}.", flush=True)
    _note(run, job=job.id)
    return job


def _followed(
    run: Run, tuner: "OpenAITuning", job: TuningJob, wait: float, should_stop: Callable[[], bool]
) -> TuningJob:
    """The job once it has ended, or has not although it was cancelled a while ago."""
    misses, cancelled_at = 0, None
    progress = Progress(run, 1, phase=PHASES["validating_files"])
    while True:
        try:
            job = tuner.get(job.id)
            progress = _told(run, progress, job, tuner.events(job.id, noted(run).get("event")))
            if job.status in ENDED:
                return job
            if should_stop() and cancelled_at is None:
                tuner.cancel(job.id)
                cancelled_at, wait = time.monotonic(), FIRST_WAIT
            misses = 0
        except ProviderError as error:
            misses += 1
            if not error.retryable or misses == MISSES:
                raise
            print(f"{error} It will be asked again.", flush=True)
        if cancelled_at is not None and time.monotonic() > cancelled_at + CANCEL_SECONDS:
            print(f"{tuner.name} was asked to cancel the job, and has not said that it did.", flush=True)
            return job
        until = time.monotonic() + wait
        while time.monotonic() < until and (cancelled_at is not None or not should_stop()):
            time.sleep(min(0.1, wait))
        wait = min(1.5 * wait, LONGEST_WAIT)


def _told(run: Run, progress: Progress, job: TuningJob, events: list[Event]) -> Progress:
    """Take down what the provider said, and how far it is."""
    phase, total, step = PHASES.get(job.status, progress.phase), progress.total, progress.done
    for event in events:
        print(event.message, flush=True)
        if "step" in event.figures:
            step = int(event.figures["step"])
            total = max(int(event.figures.get("total_steps", total)), step)
            metric(run, step=step, **{name: event.figures.get(theirs) for name, theirs in METRICS.items()})
    known = {"status": job.status} | ({"event": events[-1].id} if events else {})
    if not known.items() <= noted(run).items():
        _note(run, **known)
    if (phase, total) != (progress.phase, progress.total):
        return Progress(run, total, step, phase)
    progress.reach(step)
    return progress


def _note(run: Run, **values: str) -> None:
    write_json(run.path / "provider.json", {**noted(run), **values})


def add_options(parser: ArgumentParser) -> None:
    """A fine-tuning has no options for a bare file."""


def run_from_options(options: Namespace) -> Run:
    raise JobError("Start a fine-tuning on the Export page or by POST /api/fine-tuning/jobs, or give its run directory.")  # fmt: skip

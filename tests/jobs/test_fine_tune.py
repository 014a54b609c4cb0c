"""Fine-tuning as people run it: a real subprocess, at a server on this machine that speaks OpenAI's protocol."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.exporting import Candidate, Policy, export
from core.fine_tuning import Plan, Tuning, plan
from core.records import Prompt, Response
from jobs import fine_tune
from jobs.launcher import Launcher, Status
from jobs.protocol import Run, metrics
from tests.providers.tuning_server import STEPS, Fault, TuningServer, tuning_server

KEY = "sk-secret-0123456789abcdef"
TUNING = Tuning("gpt-4.1-mini", "preference", epochs=2, price=25.0, budget=100.0, suffix="kind", seed=7)


@pytest.fixture
def server() -> Iterator[TuningServer]:
    with tuning_server() as server:
        server.key = KEY
        yield server


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path / "runs")


def planned() -> Plan:
    prompts = [Prompt.from_text(f"What is {n} + {n}?\u2028Ünd why?") for n in range(40)]
    good, bad = Response("Twice as much."), Response("No.")
    pairs = [Candidate(prompt.id, prompt, good, bad, {"a": 3}, "a", 1.0) for prompt in prompts]
    return plan(export(pairs, Policy("conversational", splits=(0.6, 0.2, 0.2))), TUNING)


def prepared(launcher: Launcher, what: Plan | None = None) -> Run:
    what = what or planned()
    run = launcher.create("run-1", fine_tune.KIND, fine_tune.arguments(what, first_wait=0.01))
    fine_tune.freeze(run, what)
    return run


def started(launcher: Launcher, run: Run, server: TuningServer, key: str = KEY, **env: str) -> None:
    usual = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": server.url, "ATTUNE_PROVIDER_RETRIES": "0"}
    launcher.start(run, {**usual, **env})


def until(what: Callable[[], object], run: Run) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, run.log()
        time.sleep(0.02)


def ended(launcher: Launcher, run: Run) -> Status:
    until(lambda: launcher.status(run).state not in ("queued", "running"), run)
    return launcher.status(run)


def test_a_model_is_tuned_once_whatever_answers_are_lost_and_its_losses_are_written_down(
    launcher: Launcher, server: TuningServer
) -> None:
    busy = Fault(429, {"retry-after": "0"})
    server.faults = {
        "POST files": [busy],
        "POST jobs": [Fault(502, done=True)],
        "GET job": [Fault(500), Fault(200, raw=b"<html>")],
        "GET events": [Fault(200, raw=b'{"data": [{"id": null}]}'), busy],
    }
    run = prepared(launcher)
    started(launcher, run, server, ATTUNE_PROVIDER_RETRIES="1")
    status = ended(launcher, run)
    assert (status.state, status.phase, status.done, status.total) == ("done", "training", STEPS, STEPS)
    [job] = server.jobs.values()
    assert (server.asked["POST jobs"], len(server.files)) == (1, 2)
    assert run.figures() == {
        "provider_job": job["id"],
        "fine_tuned_model": "ft:gpt-4.1-mini:org:kind:1",
        "trained_tokens": 30_000,
        "cost": 0.75,
    }
    assert job["asked"] == {
        "model": "gpt-4.1-mini",
        "training_file": "file-0",
        "validation_file": "file-1",
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2}}},
        "metadata": {"attune_job": "run-1"},
        "suffix": "kind",
        "seed": 7,
    }
    found = metrics(run)
    assert [(row["step"], row["loss"]) for row in found] == [(n, 1 / n) for n in range(1, STEPS + 1)]
    assert [row["held_out_loss"] for row in found if "held_out_loss" in row] == [1.5 / 6, 1.5 / 12]
    assert "Step 12/12: training loss=0.08" in run.log()
    sent = [json.loads(line) for file in server.files.values() for line in file["content"].splitlines()]
    assert sent == [*planned().train, *planned().validation]
    assert {file["purpose"] for file in server.files.values()} == {"fine-tune"}


def test_killed_after_it_submitted_it_goes_on_with_the_same_job(
    launcher: Launcher, server: TuningServer
) -> None:
    server.stages = ["running"]
    run = prepared(launcher)
    started(launcher, run, server)
    until(lambda: fine_tune.noted(run).get("status") == "running", run)
    process = run.process()
    assert process
    os.killpg(process.pid, 9)
    assert ended(launcher, run).state == "failed"
    (run.path / "provider.json").write_text(json.dumps({"train": "file-0", "validation": "file-1"}))
    server.stages = ["succeeded"]
    launcher.queue_again(run)
    started(launcher, run, server)
    assert ended(launcher, run).state == "done"
    assert (server.asked["POST jobs"], server.asked["POST files"], len(server.jobs)) == (1, 2, 1)


def test_what_failed_at_the_provider_says_why_and_can_be_sent_anew(
    launcher: Launcher, server: TuningServer
) -> None:
    server.stages = ["validating_files", "failed"]
    run = prepared(launcher, replace(planned(), validation=[]))
    started(launcher, run, server)
    status = ended(launcher, run)
    assert (
        status.state == "failed"
        and status.reason == f"OpenAI failed the job: {server.reason} Going on submits a new one."
    )
    server.stages = ["running", "succeeded"]
    launcher.queue_again(run)
    started(launcher, run, server)
    assert ended(launcher, run).state == "done"
    assert [job["status"] for job in server.jobs.values()] == ["failed", "succeeded"]
    assert run.figures()["provider_job"] == "ftjob-1"
    assert [job["validation_file"] for job in server.jobs.values()] == [None, None]


def test_a_key_that_is_refused_is_in_no_file(launcher: Launcher, server: TuningServer) -> None:
    run, wrong = prepared(launcher), "sk-wrong-0123456789abcdef"
    started(launcher, run, server, wrong)
    status = ended(launcher, run)
    assert (status.state, status.reason) == (
        "failed",
        "OpenAI refused the API key (401): check OPENAI_API_KEY.",
    )
    assert not any(wrong in file.read_text() for file in run.path.rglob("*") if file.is_file())
    assert not server.jobs

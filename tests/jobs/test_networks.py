"""Real trainings of a network from the sample project: its phases, its metrics, and a version trained on from another."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from core.labels import Policy
from core.rewards.base import RewardError, describe
from jobs import ingest, inputs, learning, models, train_reward
from jobs.inputs import told
from jobs.protocol import Row, Run, read_lines
from jobs.train_reward import ALL, arguments
from storage import models as registry
from storage.simulated import load_sample
from storage.workbench import Workbench
from tests.jobs.benches import ended, until
from tests.pages.registered import judged, version
from tests.tiny import spoil, write_encoder

Rows = list[Row]
QUICK: Row = {"method": "transformer", "epochs": 2, "tokens": 16}
PLAIN: Row = {**QUICK, "recipe": "plain"}
TRL: Row = {**QUICK, "method": "trl"}


def trained(bench: Workbench, **settings: Any) -> tuple[Run, Rows, registry.Model]:
    """A training that is done, what it told, and the version it made."""
    job = learning.start_training(
        bench, "helpful", "ann", policy=Policy(simulated=True), **{**QUICK, **settings}
    )
    row, status = ended(bench, job, seconds=300)
    run = ingest.run_of(bench, job)
    assert row.state == "done", (status.reason, run.log())
    [model] = [model for model in registry.listed(bench.store) if model.job_id == job.id]
    return run, list(read_lines(run.events_file)), model


@pytest.mark.slow
def test_a_network_goes_by_phases_and_is_trained_on_from(bench: Workbench) -> None:
    load_sample(bench.store, bench.desks, "test")
    run, events, first = trained(bench)
    told = [event for event in events if event["event"] == "progress"]
    assert list(dict.fromkeys(event["phase"] for event in told)) == [
        "embedding",
        "training",
        f"embedding: {ALL}",
        f"training: {ALL}",
    ]
    for phase in {event["phase"] for event in told}:
        of_it = [event for event in told if event["phase"] == phase]
        assert len({event["total"] for event in of_it}) == 1 and of_it[-1]["done"] == of_it[-1]["total"]
        assert [event["done"] for event in of_it] == sorted(event["done"] for event in of_it)
    assert all(event["seconds_left"] is None or event["seconds_left"] >= 0 for event in told)
    metrics = [event for event in events if event["event"] == "metric"]
    assert {event.get("fit") for event in metrics} == {None, ALL}
    of_first = [event["step"] for event in metrics if "fit" not in event]
    assert of_first == sorted(of_first) and of_first[-1] > 1
    steps = [event for event in metrics if "loss" in event]
    assert all(0 < step["head_rate"] <= 3e-4 and "learning_rate" not in step for step in steps)
    assert first.figures["refitted"] and first.figures["parts"]["test"]["rows"] > 0

    run, _, second = trained(bench, parent_id=first.id, epochs=1)
    chosen = run.job()["arguments"]
    assert chosen["from"] == str(models.directory(bench, first)) and chosen["model"] == first.base
    assert (second.parent_id, second.version, second.base) == (first.id, "1.1.0", first.base)
    assert (
        second.figures["parts"]["test"] == second.figures["parts"]["calibration"] == {"rows": 0, "groups": 0}
    )
    assert second.figures["accuracy"]["value"] is None and second.figures["accuracy"]["reason"]
    seen = [set(describe(models.directory(bench, model))["seen"]) for model in (first, second)]
    assert seen[0] == seen[1]

    weights = models.directory(bench, first) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(RewardError, match=r"helpful 1\.0\.0/weights\.safetensors is not the file") as error:
        learning.start_training(
            bench, "helpful", "ann", policy=Policy(simulated=True), parent_id=first.id, **QUICK
        )
    assert str(bench.settings.data_dir) not in str(error.value)


def test_a_training_that_is_killed_goes_on_and_ends_as_one_that_was_not(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in its second fit; before it is started again a byte of the checkpoint is changed, and changed back."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    load_sample(bench.store, bench.desks, "test")
    chosen = {**QUICK, "epochs": 12, "trained": 1, "batch": 8, "patience": 12}
    simulated, encoder = Policy(simulated=True), str(write_encoder(tmp_path / "encoder"))
    job = learning.start_training(bench, "x", "ann", policy=simulated, model=encoder, **chosen)
    run = ingest.run_of(bench, job)

    def steps(fit: str | None) -> list[int]:
        return [e["step"] for e in read_lines(run.events_file) if "loss" in e and e.get("fit") == fit]

    def kept() -> list[int]:
        """The steps of the second fit after which a checkpoint was written: those at the end of an epoch."""
        told = read_lines(run.events_file)
        return [e["step"] for e in told if "held_out_loss" in e and e.get("fit") == ALL]

    until(lambda: (kept() and steps(ALL)[-1] > kept()[0]) or run.result(), seconds=300)
    process = run.process()
    assert process is not None
    process.kill()
    row, status = ended(bench, job)
    assert row.state == "failed" and status.reason is not None
    assert "SIGKILL" in status.reason and "Start it again to go on where it stopped." in status.reason
    before, last = steps(None), steps(ALL)[-1]

    [weights] = run.path.glob(f"checkpoints/{ALL}/checkpoint-*/weights.safetensors")
    right = weights.read_bytes()
    weights.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    ingest.resume(bench, job, "ann")
    row, status = ended(bench, job)
    assert row.state == "failed" and status.reason is not None and not registry.listed(bench.store)
    assert re.search("is not what was saved .* Start a new training, or delete", status.reason)
    weights.write_bytes(right)

    ingest.resume(bench, job, "ann")
    row, status = ended(bench, job, seconds=300)
    assert row.state == "done", status.reason
    assert steps(None) == before, "the first fit was done"
    again = steps(ALL)[last:]
    assert 1 < again[0] <= last + 1 < again[-1], "it went on from its checkpoint"
    assert again == [*range(again[0], again[-1] + 1)]

    whole = Run.create(tmp_path / "whole", train_reward.KIND, run.job()["arguments"])
    shutil.copy(run.inputs / inputs.PREFERENCES, whole.inputs)
    train_reward.work(whole, lambda: False)
    [model] = registry.listed(bench.store)
    name = "weights.safetensors"
    made = models.directory(bench, model) / name
    assert made.read_bytes() == (whole.artifacts / "model" / name).read_bytes()
    predictions = [one.artifacts / train_reward.PREDICTIONS for one in (run, whole)]
    assert predictions[0].read_bytes() == predictions[1].read_bytes()


@pytest.mark.parametrize("settings", [PLAIN, TRL])
def test_a_loss_that_is_not_a_number_fails_the_job(bench: Workbench, tmp_path: Path, settings: Row) -> None:
    load_sample(bench.store, bench.desks, "test")
    spoil(encoder := write_encoder(tmp_path / "encoder"))
    chosen = {**settings, "model": str(encoder)}
    job = learning.start_training(bench, "x", "ann", policy=Policy(simulated=True), **chosen)
    row, status = ended(bench, job, seconds=300)
    assert row.state == "failed" and status.reason is not None and not registry.listed(bench.store)
    assert "The loss at step 1 is not a number: train again with a smaller learning rate" in status.reason
    run = ingest.run_of(bench, job)
    assert status.reason in run.log() and not [*run.artifacts.iterdir()]


@pytest.mark.parametrize("settings", [{**PLAIN, "patience": 1000}, TRL])
def test_a_training_that_is_cancelled_keeps_its_last_checkpoint_and_goes_on_from_it(
    bench: Workbench, tmp_path: Path, settings: Row
) -> None:
    load_sample(bench.store, bench.desks, "test")
    chosen = {**settings, "epochs": 1000, "model": str(write_encoder(tmp_path / "encoder"))}
    job = learning.start_training(bench, "x", "ann", policy=Policy(simulated=True), **chosen)
    run = ingest.run_of(bench, job)

    def steps() -> list[int]:
        return [event["step"] for event in read_lines(run.events_file) if "loss" in event]

    for goes_on in (False, True):
        if goes_on:
            ingest.resume(bench, job, "ann")
        before = len(steps())
        until(lambda before=before: len(steps()) > before + 20 or run.result())  # type: ignore[misc]
        assert ingest.cancel(bench, job, "ann")
        row, status = ended(bench, job)
        assert (row.state, status.reason) == ("cancelled", "It was asked to stop."), run.log()
        files = {path.suffix for path in run.path.glob("checkpoints/first/checkpoint-*/*")}
        assert files == {".json", ".safetensors"}
        assert not registry.listed(bench.store) and not [*run.artifacts.iterdir()]
    assert steps() == [*range(1, len(steps()) + 1)]


def test_only_a_transformer_is_trained_on_from(bench: Workbench) -> None:
    judged(bench, 60)
    sbert = version(bench)
    with pytest.raises(ValueError, match="is of method sbert; only a transformer"):
        learning.start_training(bench, "helpful", "ann", parent_id=sbert.id, **QUICK)
    with pytest.raises(ValueError, match="the method trl cannot train on"):
        arguments(**{"method": "trl", "from": "somewhere"})


def test_errors_of_a_model_that_predicted_nothing_cannot_be_weighed_up(bench: Workbench) -> None:
    judged(bench, 60)
    silent = version(bench, parts=())
    with pytest.raises(ValueError, match="Nothing is known of what the model"):
        learning.start_training(bench, "helpful", "ann", emphasise=silent.id)


def test_progress_is_counted_by_phase_and_told_a_few_times_a_second(bench: Workbench) -> None:
    run = Run.create(bench.settings.runs_dir / "r", "train-reward", {})
    tell = told(run, lambda: False, "again")
    for total, phase in ((140, "embedding"), (1000, "training")):
        for done in range(total + 1):
            tell(phase, done, total)
    events = list(read_lines(run.events_file))
    assert [(e["phase"], e["done"], e["total"]) for e in events] == [
        ("embedding: again", 0, 140),
        ("embedding: again", 140, 140),
        ("training: again", 0, 1000),
        ("training: again", 1000, 1000),
    ]

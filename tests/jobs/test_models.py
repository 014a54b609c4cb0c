"""What trainings and evaluations leave behind, in the registry: once, whole, and only where it is of use."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from core.labels import Policy
from core.rewards.base import describe
from jobs import ingest, models, train_reward
from jobs.protocol import metrics
from providers.encoder import encoder
from storage import jobs as job_rows
from storage import learning
from storage import models as registry
from storage.simulated import load_sample
from storage.tables import JobRow
from storage.workbench import Workbench
from tests.jobs.benches import ended, steps, until
from tests.jobs.training import widened

SIMULATED = Policy(simulated=True)


@pytest.fixture
def frozen(jobs_bench: Workbench) -> pa.Table:
    load_sample(jobs_bench.store, jobs_bench.desks, "test")
    return learning.freeze(jobs_bench.store, policy=SIMULATED).table


def train(
    bench: Workbench, table: pa.Table, how: str, parent_id: str | None = None, steps: int = 3
) -> JobRow:
    told = {"how": how, "steps": steps}
    write = models.training(table, "helpful", parent_id)
    return ingest.start(bench, "train-reward", "helpful", "ann", None, told, write)


def counts(bench: Workbench) -> dict[str, int]:
    tables = ("model", "model_event", "prediction", "probe")
    return {name: bench.store.rows(f"SELECT count(*) FROM {name}")[0][0] for name in tables}


NOTHING = {"model": 0, "model_event": 0, "prediction": 0, "probe": 0}


def test_a_model_is_registered_once_even_if_the_app_dies_on_the_way(
    jobs_bench: Workbench, frozen: pa.Table
) -> None:
    bench = jobs_bench
    job = train(bench, frozen, "steps")
    run = ingest.run_of(bench, job)
    assert ended(bench, job)[0].state == "done"
    (model,) = registry.listed(bench.store)
    assert (model.name, model.version, model.status, model.job_id) == ("helpful", "1.0.0", "testing", job.id)
    assert model.figures == {"steps": 3}
    home = models.directory(bench, model)
    assert home == (bench.settings.models_dir / job.id).absolute() and describe(home)["method"] == "sbert"
    assert not (run.artifacts / "model").exists()
    lineage = registry.lineage(bench.store, model.id)
    assert set(lineage.annotation_ids) == set(
        pa.chunked_array(frozen["annotations"]).combine_chunks().flatten().to_pylist()
    )
    before = counts(bench)
    assert before == {"model": 1, "model_event": 1, "prediction": len(frozen), "probe": 0}

    for moved in (True, False):
        # As if killed before the job was marked as taken in, and before its model's folder was moved.
        job_rows.resumed(bench.store, job.id, "test")
        if not moved:
            home.rename(run.artifacts / "model")
        with ThreadPoolExecutor(4) as pool:
            taken = [one for found in pool.map(lambda _: ingest.take_in(bench), range(4)) for one in found]
        assert taken == [job.id]
        assert counts(bench) == before and describe(home)["method"] == "sbert"

    shutil.rmtree(run.path)
    assert describe(home)["method"] == "sbert", "a model outlives its run directory"
    second = train(bench, frozen, "steps", parent_id=model.id)
    ended(bench, second)
    assert [(m.version, m.parent_id) for m in registry.listed(bench.store)] == [
        ("1.1.0", model.id),
        ("1.0.0", None),
    ]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("a flipped byte", "model.safetensors is not the file that was saved"),
        ("no predictions", "predictions.parquet cannot be read"),
        ("nan", "predictions: raw of row 1 is nan"),
        ("raise", "The third layer has no weights"),
        ("half a line", "SIGKILL"),
    ],
)
def test_nothing_is_registered_of_a_training_that_failed(
    jobs_bench: Workbench, frozen: pa.Table, how: str, says: str
) -> None:
    job = train(jobs_bench, frozen, how)
    row, status = ended(jobs_bench, job)
    assert (row.state, status.state) == ("failed", "failed")
    assert status.reason is not None and says in status.reason
    assert counts(jobs_bench) == NOTHING
    folder = jobs_bench.settings.models_dir
    assert not folder.exists() or list(folder.iterdir()) == []


def test_nothing_is_registered_of_a_training_that_was_cancelled(
    jobs_bench: Workbench, frozen: pa.Table
) -> None:
    job = train(jobs_bench, frozen, "steps", steps=10_000)
    until(lambda: steps(ingest.run_of(jobs_bench, job)))
    ingest.cancel(jobs_bench, job, "ann")
    assert ended(jobs_bench, job)[0].state == "cancelled"
    assert counts(jobs_bench) == NOTHING
    assert (ingest.run_of(jobs_bench, job).artifacts / "checkpoint").exists()


def test_an_evaluation_is_a_probe_of_its_model_once(jobs_bench: Workbench, frozen: pa.Table) -> None:
    bench = jobs_bench
    ended(bench, train(bench, frozen, "steps"))
    (model,) = registry.listed(bench.store)
    write = models.evaluation(frozen, model.id)
    job = ingest.start(bench, "evaluate", "helpful 1.0.0", "ann", None, {"how": "steps"}, write)
    ended(bench, job)
    job_rows.resumed(bench.store, job.id, "test")
    assert ingest.take_in(bench) == [job.id]
    (probe,) = registry.probes(bench.store, model.id)
    assert (probe.actor, probe.figures) == ("ann", {"steps": 3})
    assert counts(bench) == {"model": 1, "model_event": 1, "prediction": 2 * len(frozen), "probe": 1}


def test_a_reward_model_from_the_sample_project(bench: Workbench, tmp_path: Path) -> None:
    """The real worker, from the frozen annotations to the registry, which no model of another embedding's size enters."""
    load_sample(bench.store, bench.desks, "test")
    table = learning.freeze(bench.store, policy=SIMULATED).table
    write = models.training(table, "helpful")
    job = ingest.start(bench, train_reward.KIND, "helpful", "ann", None, train_reward.arguments(), write)
    row, status = ended(bench, job, seconds=300)
    assert row.state == "done", (status.reason, ingest.run_of(bench, job).log())
    (model,) = registry.listed(bench.store)
    assert (model.method, model.version) == ("sbert", "1.0.0")
    assert 0 < model.figures["accuracy"]["value"] <= 1
    assert describe(models.directory(bench, model))["method"] == "sbert"
    found = registry.predictions(bench.store, model.id, ("train", "calibration", "test"))
    assert set(found["pair_id"].to_pylist()) == set(table["pair_id"].to_pylist())
    assert found["now"].to_pylist() == found["target"].to_pylist()
    assert metrics(ingest.run_of(bench, job))

    before, wide = counts(bench), tmp_path / "wide"
    cache = train_reward.cache_dir(bench.settings)
    widened(models.directory(bench, model), lambda name: encoder(name, cache)).save(wide)
    told = {"model": str(wide), "ties": "half", "criterion": None}
    job = ingest.start(bench, "calibrate", "wide", "ann", None, told, write)
    row, status = ended(bench, job)
    assert row.state == "failed" and status.reason is not None and counts(bench) == before
    assert "gives vectors of 384 numbers, but the reward was trained on vectors of 385: use" in status.reason
    assert status.reason in ingest.run_of(bench, job).log()
    assert not Path("data").exists() or not (Path("data") / "runs" / job.id).exists()

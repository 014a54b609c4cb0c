"""Models and probes from finished run directories into the registry: what ``ingest`` does for training and evaluation.

``jobs.learning`` starts these jobs (start_training, start_on_model).

inputs/preferences.parquet      what the job learns from or is tested on (storage.learning.freeze)
inputs/registration.json        for train-reward and calibrate ``name`` and ``parent_id``, for evaluate ``model_id``
artifacts/model/                the model (core.rewards.base); it moves to models/<job id> under the data directory
artifacts/predictions.parquet   ``pair_id``, ``split``, ``raw``, ``probability``, ``target``
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.experiments import Variant
from core.rewards.base import MODEL_FILE, RewardError, describe
from jobs import calibrate
from jobs.inputs import read_table
from jobs.protocol import JobError, Row, Run, read_json, replacing, write_json
from storage import experiments, learning, models
from storage.experiments import Experiment
from storage.models import Model, ModelError
from storage.tables import JobRow, ModelRow, ProbeRow
from storage.workbench import Workbench

REGISTERS = ("train-reward", "calibrate")
PROBES = "evaluate"


def training(table: pa.Table, name: str, parent_id: str | None = None) -> Callable[[Run], None]:
    """What writes the inputs of a train-reward or calibrate job, whose model will be the next version of ``name``."""
    return lambda run: _write(run, table, {"name": name, "parent_id": parent_id})


def evaluation(table: pa.Table, model_id: str) -> Callable[[Run], None]:
    """What writes the inputs of an evaluate job, whose predictions will be a probe of the model."""
    return lambda run: _write(run, table, {"model_id": model_id})


def _write(run: Run, table: pa.Table, registration: Row) -> None:
    with replacing(run.inputs / "preferences.parquet") as file:
        pq.write_table(table, file)
    write_json(run.inputs / "registration.json", registration)


def directory(bench: Workbench, model: Model) -> Path:
    """Where the model's files are."""
    return (bench.settings.data_dir / model.path).absolute()


def verified(bench: Workbench, model: Model) -> Path:
    """The model's folder, every file of which is as it was registered. Raises RewardError, with the model's name for a path."""
    home = directory(bench, model)
    try:
        describe(home)
        if _checksum(home) != model.checksum:
            raise RewardError(
                f"{home / MODEL_FILE} is not the file that was registered (its SHA-256 differs): bring it back from a backup, "
                "or train the model again."
            )
    except RewardError as error:
        raise RewardError(str(error).replace(str(home), f"{model.name} {model.version}")) from None
    return home


def deploy(bench: Workbench, model_id: str, actor: str) -> Model:
    """Deploy a model whose files are whole. Raises RewardError where they are not, ModelError as the registry does."""
    verified(bench, models.get(bench.store, model_id))
    return models.deploy(bench.store, model_id, actor)


def roll_back(bench: Workbench, model_id: str, actor: str) -> Model:
    """Roll a deployed model back to the one deployed before it, whose files are whole.

    Raises RewardError where they are not, ModelError where the model is not deployed or none was before it.
    """
    model = models.get(bench.store, model_id)
    if model.status != "deployed":
        raise ModelError(f"{model.name} {model.version} is not deployed: there is nothing to roll back.")
    before = models.deployed_before(bench.store, model.name)
    try:
        verified(bench, before)
    except RewardError as error:
        raise RewardError(
            f"{model.name} {model.version} stays deployed, as the version before it is damaged. {error} To go further back, "
            f"archive {before.version} and roll back again."
        ) from None
    return models.roll_back(bench.store, model.name, actor, before.id)


def deploy_arm(bench: Workbench, experiment_id: str, variant: Variant, actor: str) -> Experiment:
    """Deploy the version of an arm, whose files are whole, and end its experiment.

    Raises ExperimentError where an arm of it was deployed already; else as ``deploy``.
    """
    experiment = experiments.get(bench.store, experiment_id)
    if experiment.deployed is None:
        deploy(bench, experiment.model(variant).id, actor)
    return experiments.conclude(bench.store, experiment_id, variant, actor)


def take_model(bench: Workbench, job: JobRow, run: Run) -> None:
    """Register, once, the model that a job made. Raises JobError where it is of no use, and then leaves all as it was."""
    made, home = run.artifacts / "model", bench.settings.models_dir.absolute() / job.id
    registration, predictions, learnt = _read(run)
    home.parent.mkdir(parents=True, exist_ok=True)
    if not home.exists():
        _described(made)
        made.rename(home)
    described = _described(home)
    row = ModelRow(
        id="",
        name=registration["name"],
        version="",
        method=described["method"],
        base=described["base"],
        path=str(home.relative_to(bench.settings.data_dir.absolute())),
        job_id=job.id,
        parent_id=registration["parent_id"],
        campaign_id=learnt_in(bench, job, registration["parent_id"]),
        actor=job.actor,
        created_at=datetime.now(UTC),
        figures=run.figures(),
        lineage=learning.lineage(learnt),
        checksum=_checksum(home),
    )
    try:
        models.register(bench.store, row, predictions)
    except ModelError as error:
        home.rename(made)
        raise JobError(str(error)) from None


def learnt_in(bench: Workbench, job: JobRow, parent_id: str | None) -> str | None:
    """The campaign whose pairs a model learnt from: a calibration, whatever its pairs, leaves that as it was."""
    if job.kind == calibrate.KIND and parent_id is not None:
        return models.get(bench.store, parent_id).campaign_id
    return job.campaign_id


def take_probe(bench: Workbench, job: JobRow, run: Run) -> None:
    """Log, once, the probe that a job made of a model. Raises JobError where it is of no use."""
    registration, predictions, _ = _read(run)
    row = ProbeRow(
        id=f"probe_{job.id}",
        model_id=registration["model_id"],
        campaign_id=job.campaign_id,
        actor=job.actor,
        created_at=datetime.now(UTC),
        figures=run.figures(),
    )
    try:
        models.add_probe(bench.store, row, predictions)
    except ModelError as error:
        raise JobError(str(error)) from None


def _read(run: Run) -> tuple[Row, pa.Table, pa.Table]:
    """registration.json, the predictions and what was learnt from."""
    registration = read_json(run.inputs / "registration.json")
    if registration is None:
        raise JobError("inputs/registration.json cannot be read.")
    predictions, learnt = run.artifacts / "predictions.parquet", run.inputs / "preferences.parquet"
    return registration, read_table(predictions), read_table(learnt)


def _checksum(folder: Path) -> str:
    return hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()


def _described(folder: Path) -> Row:
    """model.json, after every file was checked against its checksum."""
    try:
        return describe(folder)
    except RewardError as error:
        raise JobError(str(error)) from None

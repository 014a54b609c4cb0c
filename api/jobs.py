"""Jobs: trainings, calibrations and evaluations started, watched, stopped and resumed; generations and fine-tunings are seen here too."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from api.access import Lead, Researcher
from api.models import Body, Limit, Name, Offset, problems
from core.labels import Method, Policy
from core.preferences import Ties
from core.rewards.settings import TransformerSettings
from jobs import ingest, learning
from jobs.launcher import Status
from jobs.protocol import JobError, metrics
from storage import jobs as job_rows
from storage import models as registry
from storage.campaigns import CampaignError
from storage.models import ModelError
from storage.tables import JobRow
from storage.workbench import workbench

router = APIRouter(tags=["jobs"])
Kind = Literal["generate-pairs", "train-reward", "calibrate", "evaluate", "drift", "fine-tune"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
SETTINGS = {"method", "epochs", "seed", "surface", "held_out", "refit", "learning_curve"}
"""Of a training's request, what jobs.train_reward takes by the same name."""


class LabelPolicy(Body):
    """How votes become a label: their share, the majority, or the posterior of Dawid and Skene; a tie is half a vote for
    each answer, or left out; simulated annotators count, or do not."""

    consensus: Method = "votes"
    ties: Ties = "half"
    simulated: bool = False


class NewJob(Body):
    """On whose labels a job works, and when."""

    campaign: Name | None = Field(None, description="Labels of this campaign; of all without it.")
    category: Name | None = Field(None, description="Pairs of this category; of all without it.")
    policy: LabelPolicy | None = Field(
        None, description="Without it the usual one, or the one the model was trained under."
    )
    priority: int = Field(0, ge=-100, le=100, description="The highest of those that wait starts first.")
    time_limit: float | None = Field(None, gt=0, le=1e7, description="Seconds it may run.")

    def chosen(self) -> dict[str, Any]:
        """What all starting functions take."""
        policy = None if self.policy is None else Policy(**self.policy.model_dump())
        rest = self.model_dump(include={"category", "priority", "time_limit"})
        return {"campaign_id": self.campaign, "policy": policy, **rest}


class TrainReward(NewJob):
    """Train a reward model and vote predictor, which becomes the next version of ``name``."""

    kind: Literal["train-reward"]
    name: Name = Field(min_length=1)
    method: Literal["sbert", "transformer", "trl"] = "sbert"
    base: Name | None = Field(
        None, description="The pretrained model, by name or path; the bundled one without it."
    )
    epochs: int | None = Field(None, ge=1, le=1000, description="Passes over the data; sbert has none.")
    seed: int | None = Field(None, ge=0, lt=2**31)
    surface: bool | None = Field(
        None, description="Whether surface features (length, lists, ...) count beside the text."
    )
    held_out: float | None = Field(
        None, ge=0, le=0.8, description="Share of the data kept for calibration and test."
    )
    refit: bool | None = Field(
        None, description="Whether, once judged, it is trained again on all of the data (the default)."
    )
    learning_curve: bool | None = Field(
        None, description="Whether accuracy against the number of labels is measured too."
    )
    settings: TransformerSettings | None = Field(
        None,
        description="Of the method transformer; trl has learning_rate, batch, tokens and checkpoint_seconds of these, with defaults of its own, "
        "and sbert none. One that the method does not have is refused.",
    )
    parent: Name | None = Field(
        None, description="The id of the model it descends from; a transformer is trained on from it."
    )
    emphasise: Name | None = Field(None, description="The id of a model whose errors are to weigh more.")


class OnModel(NewJob):
    """On pairs that a model was not trained on: calibrate it anew, which makes the next version of its name, or evaluate
    it, that is hold its predictions against what people said."""

    kind: Literal["calibrate", "evaluate"]
    model: Name = Field(description="The model's id.")


class ListedJob(BaseModel):
    """A job and where it stands: ``done`` and ``failed`` of ``total`` items, 0 before it told any, of the ``phase`` that a
    training is in; ``reason`` is why it failed, was cancelled or is asked to stop."""

    id: str
    kind: str
    label: str
    campaign_id: str | None
    actor: str
    priority: int
    time_limit: float | None
    created_at: datetime
    ended_at: datetime | None
    state: State
    reason: str | None
    done: int
    failed: int
    total: int
    seconds_left: float | None
    phase: str

    @classmethod
    def of(cls, job: JobRow, status: Status) -> "ListedJob":
        return cls(**{name: getattr(job, name, None) for name in cls.model_fields} | _told(status))


class WholeJob(ListedJob):
    """A job with its ``metrics`` (step, epoch, loss, accuracy, ...; at most a few hundred of a kind), its ``result`` and
    the model it made."""

    arguments: dict[str, Any]
    metrics: list[dict[str, Any]]
    result: dict[str, Any] | None
    model_id: str | None


class JobPage(BaseModel):
    """Some of the ``total`` jobs that match, newest first."""

    total: int
    items: list[ListedJob]


@router.post("/jobs", status_code=201, responses=problems(404, 409, 503))
def start_job(new: Annotated[TrainReward | OnModel, Field(discriminator="kind")], lead: Lead) -> ListedJob:
    """Queue a job on the labels as they stand now. 422 says what is wrong or how many labels are missing."""
    bench = workbench()
    try:
        match new:
            case TrainReward():
                for model_id in filter(None, (new.parent, new.emphasise)):
                    _known(model_id)
                job = learning.start_training(
                    bench,
                    new.name,
                    lead.id,
                    parent_id=new.parent,
                    emphasise=new.emphasise,
                    model=new.base,
                    **new.model_dump(include=SETTINGS),
                    **(new.settings.model_dump(exclude_unset=True) if new.settings else {}),
                    **new.chosen(),
                )
            case OnModel():
                job = learning.start_on_model(bench, new.kind, _known(new.model), lead.id, **new.chosen())
    except (CampaignError, ModelError):
        raise
    except (JobError, ValueError) as error:
        raise HTTPException(422, str(error)) from None
    return ListedJob.of(job, ingest.status(bench, job))


@router.get("/jobs")
def list_jobs(
    _: Researcher,
    kind: Kind | None = None,
    state: State | None = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> JobPage:
    """Jobs, newest first; of a kind, or in a state."""
    bench = workbench()
    if state in ("queued", "running"):
        standing = [(job, ingest.status(bench, job)) for job in job_rows.waiting(bench.store)]
        found = [
            (job, status)
            for job, status in sorted(standing, key=lambda one: one[0].created_at, reverse=True)
            if status.state == state and kind in (None, job.kind)
        ]
        total, found = len(found), found[offset : offset + limit]
    else:
        rows, total = job_rows.page(bench.store, kind, state, offset, limit)
        found = [(job, ingest.status(bench, job)) for job in rows]
    return JobPage(total=total, items=[ListedJob.of(job, status) for job, status in found])


@router.get("/jobs/{job_id}", responses=problems(404))
def get_job(job_id: Name, _: Researcher) -> WholeJob:
    """A job, what it measured so far, and how it ended."""
    bench, job = workbench(), _job(job_id)
    run, status = ingest.run_of(bench, job), ingest.status(bench, job)
    made = [model.id for model in registry.listed(bench.store, archived=True) if model.job_id == job.id]
    return WholeJob(
        **ListedJob.of(job, status).model_dump(),
        arguments=run.job()["arguments"] if run.job_file.exists() else {},
        metrics=metrics(run),
        result=status.result,
        model_id=made[0] if made else None,
    )


@router.get(
    "/jobs/{job_id}/log",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The log"}, **problems(404)},
)
def get_log(
    job_id: Name,
    _: Researcher,
    most: Annotated[int, Query(ge=1, le=1_000_000, description="So many bytes from its end.")] = 20_000,
) -> Response:
    """The end of what the job printed."""
    return PlainTextResponse(ingest.run_of(workbench(), _job(job_id)).log(most))


@router.post("/jobs/{job_id}/cancel", responses=problems(404, 409))
def cancel_job(job_id: Name, lead: Lead) -> ListedJob:
    """Ask a job to stop; what it has done so far is kept. 409 where it has ended or was asked before."""
    bench, job = workbench(), _job(job_id)
    if not ingest.cancel(bench, job, lead.id):
        raise HTTPException(409, f"Job {job.id} has ended, or was asked to stop before.")
    return ListedJob.of(job, ingest.status(bench, job))


@router.post("/jobs/{job_id}/resume", responses=problems(404, 409))
def resume_job(job_id: Name, lead: Lead) -> ListedJob:
    """Have a job go on where it stopped that failed, was cancelled or left items undone. 409 where it is under way, or has
    nothing left to do."""
    bench, job = workbench(), _job(job_id)
    try:
        ingest.resume(bench, job, lead.id)
    except JobError as error:
        raise HTTPException(409, str(error)) from None
    job = _job(job_id)
    return ListedJob.of(job, ingest.status(bench, job))


def _job(job_id: str) -> JobRow:
    job = job_rows.get(workbench().store, job_id)
    if job is None:
        raise HTTPException(404, f"There is no job {job_id!r}.")
    return job


def _known(model_id: str) -> str:
    """The id of a model there is."""
    try:
        return registry.get(workbench().store, model_id).id
    except ModelError as error:
        raise HTTPException(404, str(error)) from None


def _told(status: Status) -> dict[str, Any]:
    names = ("state", "reason", "done", "failed", "total", "seconds_left", "phase")
    return {name: getattr(status, name) for name in names}

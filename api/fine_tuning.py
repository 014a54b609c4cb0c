"""Fine-tuning at a provider: what it would cost, jobs started, watched and cancelled."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from api.access import Lead, Researcher
from api.jobs import ListedJob
from api.models import Body, Limit, Name, Offset, problems
from core.exporting import Policy, export
from core.fine_tuning import LONGEST_SUFFIX, MOST_EPOCHS, Plan, Provider, Shape, Tuning, plan
from core.generation import ProviderError
from jobs import fine_tune, ingest, learning
from jobs.protocol import JobError, metrics
from storage import campaigns
from storage import jobs as job_rows
from storage.exports import Method, candidates
from storage.tables import JobRow
from storage.workbench import workbench

router = APIRouter(tags=["jobs"], prefix="/fine-tuning")


class NewFineTuning(Body):
    """What to fine-tune on whose labels: pairs as GET /export/rlhf gives them, without ties; of their prompts 90% are trained
    on, 5% go along for validation, and 5% stay here as a test."""

    provider: Provider = "openai"
    campaign: Name | None = Field(None, description="Pairs of this campaign; of all without it.")
    category: Name | None = Field(None, description="Pairs of this category; of all without it.")
    label: Method = Field("majority", description="How votes become one label.")
    min_votes: int = Field(1, ge=1, le=1000)
    simulated: bool = Field(False, description="Whether simulated annotators count.")
    shape: Shape = Field(description="supervised: the chosen answers alone; preference: both (DPO).")
    model: Name = Field(min_length=1, description="The model to start from, as the provider calls it.")
    epochs: int = Field(ge=1, le=MOST_EPOCHS)
    price_per_million: float = Field(ge=0, le=1e9, description="Price of a million trained tokens.")
    budget: float = Field(gt=0, le=1e12, description="What the job may cost at most, in the same currency.")
    suffix: Annotated[Name, Field(max_length=LONGEST_SUFFIX)] | None = Field(
        None, description="Becomes part of the new model's name."
    )
    seed: int | None = Field(None, ge=0, lt=2**31)

    def plan(self) -> Plan:
        """Raises ValueError for a row or a setting that would be refused."""
        found = candidates(
            workbench().store,
            campaign_id=self.campaign,
            category=self.category,
            method=self.label,
            simulated=self.simulated,
        )
        asked = self.model_dump(include={"model", "shape", "epochs", "budget", "suffix", "seed", "provider"})
        tuning = Tuning(price=self.price_per_million, **asked)
        return plan(export(found, Policy("conversational", min_votes=self.min_votes)), tuning)


class FineTuningEstimate(BaseModel):
    """What would be sent and about what it would cost: ``tokens`` of one epoch, estimated from the length of the texts, and
    ``cost`` of them all. ``refusal`` is why it would not be sent: too few examples, or above the budget."""

    examples: int
    validation: int
    kept_back: int
    tokens: int
    cost: float
    warnings: list[str]
    refusal: str | None


class FineTuning(ListedJob):
    """A job at a provider: ``tuning`` is what was asked for, ``estimate`` what it was to cost before it was sent. What the
    provider calls it, how it stands there as far as is known, the model it made, the tokens that it trained on and what these
    cost are null until they are known."""

    tuning: dict[str, Any]
    estimate: dict[str, Any]
    provider_job: str | None
    provider_status: str | None
    fine_tuned_model: str | None
    trained_tokens: int | None
    cost: float | None

    @classmethod
    def seen(cls, job: JobRow) -> "FineTuning":
        bench = workbench()
        run, status = ingest.run_of(bench, job), ingest.status(bench, job)
        told = run.job()["arguments"] if run.job_file.exists() else {}
        there, result = fine_tune.noted(run), status.result or {}
        return cls(
            **ListedJob.of(job, status).model_dump(),
            tuning=told.get("tuning", {}),
            estimate=told.get("estimate", {}),
            provider_job=there.get("job"),
            provider_status=there.get("status"),
            **{name: result.get(name) for name in ("fine_tuned_model", "trained_tokens", "cost")},
        )


class WholeFineTuning(FineTuning):
    """With its ``metrics`` so far: step, loss, token_accuracy, held_out_loss."""

    metrics: list[dict[str, Any]]


class FineTuningPage(BaseModel):
    """Some of the ``total`` jobs, newest first."""

    total: int
    items: list[FineTuning]


@router.post("/estimate", responses=problems(404))
def estimate(new: NewFineTuning, _: Researcher) -> FineTuningEstimate:
    """What a job would send and cost. Nothing is sent."""
    found = _planned(new)
    return FineTuningEstimate(**fine_tune.estimate(found), warnings=found.warnings, refusal=found.refusal)


@router.post("/jobs", status_code=201, responses=problems(404, 409))
def start_fine_tuning(new: NewFineTuning, lead: Lead) -> FineTuning:
    """Send the labels as they stand now to a provider, texts unmasked. 422 where there are too few or they would cost more
    than the budget; 409 where no key is set."""
    try:
        job = learning.start_fine_tuning(workbench(), _planned(new), lead.id, new.campaign)
    except JobError as error:
        raise HTTPException(422, str(error)) from None
    except ProviderError as error:
        raise HTTPException(409, str(error)) from None
    return FineTuning.seen(job)


@router.get("/jobs")
def list_fine_tunings(_: Researcher, offset: Offset = 0, limit: Limit = 50) -> FineTuningPage:
    """Fine-tunings, newest first."""
    rows, total = job_rows.page(workbench().store, fine_tune.KIND, None, offset, limit)
    return FineTuningPage(total=total, items=[FineTuning.seen(job) for job in rows])


@router.get("/jobs/{job_id}", responses=problems(404))
def get_fine_tuning(job_id: Name, _: Researcher) -> WholeFineTuning:
    """A fine-tuning, what it measured so far, and what came out."""
    job = _job(job_id)
    return WholeFineTuning(
        **FineTuning.seen(job).model_dump(), metrics=metrics(ingest.run_of(workbench(), job))
    )


@router.post("/jobs/{job_id}/cancel", responses=problems(404, 409))
def cancel_fine_tuning(job_id: Name, lead: Lead) -> FineTuning:
    """Cancel a job here and at the provider. 409 where it has ended or was asked before."""
    job = _job(job_id)
    if not ingest.cancel(workbench(), job, lead.id):
        raise HTTPException(409, f"Job {job.id} has ended, or was asked to stop before.")
    return FineTuning.seen(job)


def _planned(new: NewFineTuning) -> Plan:
    """Raises CampaignError for a campaign there is not, HTTPException 422 for what cannot be sent."""
    if new.campaign is not None:
        campaigns.get(workbench().store, new.campaign)
    try:
        return new.plan()
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def _job(job_id: str) -> JobRow:
    job = job_rows.get(workbench().store, job_id)
    if job is None or job.kind != fine_tune.KIND:
        raise HTTPException(404, f"There is no fine-tuning {job_id!r}.")
    return job

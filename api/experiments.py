"""A/B experiments: beginning one, which unit gets which model, what came of it, and what that says."""

from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from api.access import Lead, Researcher
from api.metrics import Figure
from api.models import Body, Limit, Name, Offset, Refused, problems, storable
from api.registry import known
from api.scoring import ScoredBy
from core.experiments import LEAST, MOST, Choice, Compared, Metric, Variant
from jobs import models
from storage import experiments
from storage.experiments import MAX_PLANNED, Experiment, ExperimentError, Outcome, State
from storage.models import MAX_NAME
from storage.tables import ExperimentRow
from storage.workbench import workbench

router = APIRouter(tags=["experiments"])
MOST_AT_ONCE = 10_000
Some = Annotated[Name, StringConstraints(min_length=1)]
Planned = Annotated[
    int, Field(ge=2 * LEAST, le=MAX_PLANNED, description="units; the intervals are tightest there")
]


class NewExperiment(Body):
    """Two versions to try on a product's users; it begins at once."""

    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
        AfterValidator(storable),
    ]
    control: Name = Field(description="A model's id: what is in use.")
    treatment: Name = Field(description="A model's id: what may take its place.")
    metric: Metric = Field(description="What decides; outcomes of the others may be sent too.")
    share: float = Field(
        0.5, ge=0.01, le=0.99, description="of the units that get the treatment; fixed from here on"
    )
    planned: Planned = 10_000
    worth: float = Field(
        0.0, ge=0, le=MOST, description="the smallest difference worth having, in the metric's own unit"
    )


class Extension(Body):
    planned: Planned


class Deployment(Body):
    variant: Variant | None = Field(None, description="The arm; what is recommended without it.")


class NewOutcome(Body):
    """What came of a unit: a rating from 1 to 5, a win from 0 to 1, a latency in seconds, a cost in US dollars, tickets deflected."""

    unit: Some
    metric: Metric
    value: float
    id: Some | None = Field(None, description="Your own: an outcome with an id that is there adds nothing.")
    at: AwareDatetime | None = Field(None, description="When it came; now without it.")


class Outcomes(Body):
    outcomes: list[NewOutcome] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Taken(BaseModel):
    """What became of outcomes; rows count from 1."""

    added: int
    duplicate: int
    refused: list[Refused]


class Assignment(BaseModel):
    """The model that answers a unit. Where it is not ``counted``, ``reason`` says why."""

    unit: str
    variant: Variant
    model: ScoredBy
    counted: bool
    reason: str | None


class ListedExperiment(BaseModel):
    """An experiment as it stands, since ``changed_at``. ``planned`` is what it began with as its plan, ``target`` what it was extended to;
    ``units`` have an arm. ``deployed`` is the arm that was."""

    id: str
    name: str
    state: State
    control: ScoredBy
    treatment: ScoredBy
    metric: Metric
    share: float
    planned: int
    target: int
    worth: float
    units: int
    deployed: Variant | None
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, experiment: Experiment) -> "ListedExperiment":
        return cls.model_validate(experiment, from_attributes=True)


class ExperimentPage(BaseModel):
    """Some of the ``total`` experiments, newest first."""

    total: int
    items: list[ListedExperiment]


class Split(BaseModel):
    """Units of each arm; ``p_value`` that they are split as planned, valid however often one looks."""

    control: int
    treatment: int
    expected: float
    p_value: float
    mismatch: bool


class Day(BaseModel):
    """The effect as of the end of a day (UTC) on which it is known."""

    day: str
    effect: Figure


class Comparison(BaseModel):
    """A metric in both arms, by the means of units; every interval and p-value is valid however often one looks."""

    control: Figure
    treatment: Figure
    effect: Figure = Field(description="treatment less control")
    p_value: float | None
    ratio: Split = Field(description="of the units that have an outcome of it")
    days: list[Day]


class Analysis(BaseModel):
    """What is known, and what to do by it."""

    recommendation: Choice
    why: str
    ratio: Split
    metrics: dict[Metric, Comparison]


class WholeExperiment(ListedExperiment):
    analysis: Analysis


@router.post("/models/ab-test", status_code=201, responses=problems(404, 409))
def begin(new: NewExperiment, lead: Lead) -> ListedExperiment:
    """Begin an experiment between two versions. 409 for one that is archived, or the same twice."""
    for model_id in (new.control, new.treatment):
        known(model_id)
    given = new.model_dump(exclude={"control", "treatment"})
    row = ExperimentRow(control_id=new.control, treatment_id=new.treatment, **given)
    return ListedExperiment.of(experiments.create(workbench().store, row, lead.id))


@router.get("/experiments")
def list_experiments(_: Researcher, offset: Offset = 0, limit: Limit = 50) -> ExperimentPage:
    """Experiments, newest first."""
    found = experiments.listed(workbench().store)
    page = found[offset : offset + limit]
    return ExperimentPage(total=len(found), items=[ListedExperiment.of(one) for one in page])


@router.get("/experiments/{experiment_id}", responses=problems(404))
def get_experiment(experiment_id: Name, _: Researcher) -> WholeExperiment:
    """An experiment with what it says: each metric in both arms, the effect, the split of the units, and what is recommended."""
    store = workbench().store
    return _at(store.revision, store.traffic, experiment_id)


@lru_cache(maxsize=64)
def _at(revision: int, traffic: int, experiment_id: str) -> WholeExperiment:
    store = workbench().store
    found = experiments.analyse(store, experiment_id)
    analysis = Analysis(
        recommendation=found.recommendation.choice,
        why=found.recommendation.why,
        ratio=Split.model_validate(found.ratio, from_attributes=True),
        metrics={metric: _comparison(compared) for metric, compared in found.metrics.items()},
    )
    listed = ListedExperiment.of(experiments.get(store, experiment_id))
    return WholeExperiment(**listed.model_dump(), analysis=analysis)


def _comparison(compared: Compared) -> Comparison:
    known = np.flatnonzero(~np.isnan(compared.over.value))
    days = [Day(day=str(compared.day[i]), effect=Figure(**asdict(compared.over[int(i)]))) for i in known]
    return Comparison(
        **{name: Figure(**asdict(getattr(compared, name))) for name in ("control", "treatment", "effect")},
        p_value=compared.p_value,
        ratio=Split.model_validate(compared.ratio, from_attributes=True),
        days=days,
    )


@router.get("/experiments/{experiment_id}/assign", responses=problems(404))
def assign(experiment_id: Name, unit: Annotated[Some, Query(description="A user, a conversation: what you randomise.")],
           _: Researcher) -> Assignment:  # fmt: skip
    """The model that answers a unit: always the same one while the experiment goes on. While it is paused a new unit gets the control; once
    it has ended every unit does, or gets what was deployed."""
    found = experiments.assign(workbench().store, experiment_id, unit)
    model = ScoredBy(**dict(zip(("id", "name", "version"), found.model, strict=True)))
    return Assignment(
        unit=unit,
        variant=found.variant,
        model=model,
        counted=found.reason is None,
        reason=found.reason,
    )


@router.post("/experiments/{experiment_id}/outcomes", responses=problems(404, 409))
def add_outcomes(experiment_id: Name, new: Outcomes, _: Researcher) -> Taken:
    """Send what came of units, in batches; those that cannot be taken are refused with their row and the reason, the others enter."""
    given = [Outcome(**one.model_dump()) for one in new.outcomes]
    return Taken.model_validate(asdict(experiments.add_outcomes(workbench().store, experiment_id, given)))


@router.post("/experiments/{experiment_id}/pause", responses=problems(404, 409))
def pause(experiment_id: Name, lead: Lead) -> ListedExperiment:
    """Take no new units; those that have an arm keep it, and their outcomes come in."""
    return ListedExperiment.of(experiments.pause(workbench().store, experiment_id, lead.id))


@router.post("/experiments/{experiment_id}/resume", responses=problems(404, 409))
def resume(experiment_id: Name, lead: Lead) -> ListedExperiment:
    """Take new units again."""
    return ListedExperiment.of(experiments.resume(workbench().store, experiment_id, lead.id))


@router.post("/experiments/{experiment_id}/extend", responses=problems(404, 409))
def extend(experiment_id: Name, more: Extension, lead: Lead) -> ListedExperiment:
    """Plan more units. The split stays, and the intervals stay tightest at the number that it began with."""
    return ListedExperiment.of(experiments.extend(workbench().store, experiment_id, more.planned, lead.id))


@router.post("/experiments/{experiment_id}/end", responses=problems(404, 409))
def end(experiment_id: Name, lead: Lead) -> ListedExperiment:
    """Give every unit the control, and take no more outcomes."""
    return ListedExperiment.of(experiments.end(workbench().store, experiment_id, lead.id))


@router.post("/experiments/{experiment_id}/deploy", responses=problems(404, 409, 503))
def deploy(experiment_id: Name, asked: Deployment, lead: Lead) -> ListedExperiment:
    """Have the version of an arm answer for its name, and every unit; ends the experiment. 409 where no arm is named or recommended, 503
    where its files are damaged."""
    arm = asked.variant
    if arm is None:
        found = experiments.analyse(workbench().store, experiment_id).recommendation
        if (arm := found.arm) is None:
            raise ExperimentError(
                f"Neither arm is recommended ({found.choice}): name the variant. {found.why}"
            )
    return ListedExperiment.of(models.deploy_arm(workbench(), experiment_id, arm, lead.id))

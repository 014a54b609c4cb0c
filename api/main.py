"""The REST API: its routers, and how errors are answered."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from api import (
    adjudications,
    annotations,
    experiments,
    export,
    fine_tuning,
    jobs,
    metrics,
    pairs,
    production,
    prompts,
    ranking,
    registry,
    reports,
    scoring,
    timeline,
)
from api.models import Problem, problems
from core.generation import ProviderError
from core.judging import InvalidJudgement
from core.queueing import NotAccepted
from core.reading import FileError
from core.rewards.base import RewardError
from jobs.resident import NoSuchModel, NotReady
from storage.campaigns import CampaignError
from storage.experiments import ExperimentError, NoExperiment
from storage.models import ModelError
from storage.people import PeopleError
from storage.store import StoreError

DESCRIPTION = """
With sign-in on, send an API token: `Authorization: Bearer <token>`. With sign-in off, say who you are with
`X-Attune-Name`; without it you are "local". Every error is `{"detail": "...", "field": "..."}`.

Annotators fetch and send annotations and see their own; researchers read everything and score; leads add prompts and
pairs, adjudicate, start jobs, deploy models and run experiments.
"""
_NOT_ACCEPTED = {"full": 409, "judged": 409, "unknown": 404, "yours_not": 403}

api: FastAPI = FastAPIOffline(
    title="Attune",
    version="0.4.0",
    description=DESCRIPTION,
    redoc_url=None,
    servers=[{"url": "/api"}],
    responses=problems(400, 401, 403, 413, 422),
)
for area in (
    annotations,
    adjudications,
    prompts,
    pairs,
    metrics,
    ranking,
    timeline,
    export,
    scoring,
    jobs,
    fine_tuning,
    registry,
    experiments,
    production,
    reports,
):
    api.include_router(area.router)


class Health(BaseModel):
    status: str


@api.get("/health", tags=["health"])
def health() -> Health:
    """Answers while the app runs; needs no sign-in."""
    return Health(status="ok")


def _problem(status: int, detail: str, field: str | None = None) -> JSONResponse:
    return JSONResponse(Problem(detail=detail, field=field).model_dump(exclude_none=True), status)


@api.exception_handler(RequestValidationError)
def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    fields = [_safe(".".join(map(str, e["loc"][1:])) or str(e["loc"][0])) for e in error.errors()]
    told = [f"{field}: {_safe(e['msg'])}" for field, e in zip(fields, error.errors(), strict=True)]
    return _problem(422, "; ".join(told[:5]), fields[0])


def _safe(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


@api.exception_handler(InvalidJudgement)
def _invalid_judgement(_: Request, error: InvalidJudgement) -> JSONResponse:
    return _problem(422, _safe(str(error)), error.field)


@api.exception_handler(NotAccepted)
def _not_accepted(_: Request, error: NotAccepted) -> JSONResponse:
    return _problem(_NOT_ACCEPTED[error.code], str(error))


@api.exception_handler(CampaignError)
def _no_campaign(_: Request, error: CampaignError) -> JSONResponse:
    return _problem(404, str(error), "campaign")


@api.exception_handler(NoSuchModel)
def _no_model(_: Request, error: NoSuchModel) -> JSONResponse:
    return _problem(404, _safe(str(error)), "model")


@api.exception_handler(NoExperiment)
def _no_experiment(_: Request, error: NoExperiment) -> JSONResponse:
    return _problem(404, _safe(str(error)))


@api.exception_handler(ExperimentError)
@api.exception_handler(ModelError)
@api.exception_handler(NotReady)
def _not_now(_: Request, error: Exception) -> JSONResponse:
    return _problem(409, _safe(str(error)))


@api.exception_handler(RewardError)
@api.exception_handler(StoreError)
def _beyond_limits(_: Request, error: Exception) -> JSONResponse:
    return _problem(503, _safe(str(error)))


@api.exception_handler(FileError)
@api.exception_handler(PeopleError)
@api.exception_handler(ProviderError)
def _unusable(_: Request, error: Exception) -> JSONResponse:
    return _problem(422, _safe(str(error)))

"""Models in production: what they were asked, how they answered, and what people said since."""

from dataclasses import asdict
from datetime import datetime
from functools import lru_cache

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.access import Researcher
from api.metrics import Figure
from api.models import Name, problems
from api.registry import known
from core.held_out import Unit
from core.production import Route
from storage import production
from storage.workbench import workbench

router = APIRouter(tags=["models"])


class Period(BaseModel):
    """A deployment; ``until`` is null while it lasts."""

    since: datetime
    until: datetime | None


class Service(BaseModel):
    """How a model answered, by whichever name it was asked; n counts requests."""

    requests: int
    texts: int = Field(description="answers that the requests were about")
    error_rate: Figure = Field(description="the share of requests that were not answered")
    p50: Figure = Field(description="milliseconds, within 5%")
    p95: Figure = Field(description="milliseconds, within 5%")


class Quality(BaseModel):
    """How good a model is; n counts pairs."""

    accuracy: Figure
    log_loss: Figure
    ece: Figure


class Window(BaseModel):
    """A calendar window, by its beginning."""

    start: datetime
    service: Service
    quality: Quality


class InProduction(BaseModel):
    """A model in production; satisfaction and cost say why they are not known."""

    deployments: list[Period]
    service: Service
    routes: dict[Route, Service] = Field(
        description="the same for each way of asking; page is the Predict page"
    )
    held_out: Quality = Field(description="what it was deployed with: the figures of its training")
    quality: Quality = Field(description="on pairs it had not seen, by the votes since it was first deployed")
    pairs: int
    windows: list[Window]
    satisfaction: Figure
    cost: Figure


@router.get("/models/{model_id}/production", responses=problems(404))
def get_production(model_id: Name, _: Researcher, unit: Unit | None = None) -> InProduction:
    """Requests, latency, errors and quality of a model since it was deployed, and in windows (``unit``, else of a length that suits
    them)."""
    known(model_id)
    bench = workbench()
    bench.served.write()
    return _at(bench.store.revision, model_id, unit)


@lru_cache(maxsize=64)
def _at(revision: int, model_id: str, unit: Unit | None) -> InProduction:
    """The figures at a revision of the store."""
    return InProduction.model_validate(asdict(production.of(workbench().store, model_id, unit)))

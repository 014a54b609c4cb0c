"""How far the annotators agree."""

from dataclasses import asdict
from functools import lru_cache
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.access import Researcher
from api.models import InCampaign, InCategory, problems
from core.agreement import agreement_report
from storage import annotations
from storage.workbench import workbench

router = APIRouter(tags=["metrics"])
Ties = Literal["keep", "drop"]


class Figure(BaseModel):
    """A figure with its 95% interval; ``n`` counts what it rests on (pairs; for self_consistency, repeats)."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    target: float | None
    reason: str | None = Field(description="why value, or its interval, is null")


class Metrics(BaseModel):
    """Every agreement figure."""

    raw_agreement: Figure
    cohen_kappa: Figure
    fleiss_kappa: Figure
    krippendorff_alpha: Figure
    krippendorff_alpha_ordinal: Figure = Field(
        description="on strength: b far better ... tie ... a far better"
    )
    gwet_ac1: Figure
    confidence_weighted_agreement: Figure
    self_consistency: Figure


@router.get("/metrics", responses=problems(404))
def get_metrics(
    _: Researcher, campaign: InCampaign, category: InCategory = None, ties: Ties = "keep"
) -> Metrics:
    """Agreement among annotators; ``ties=drop`` looks only at judgements that prefer a response."""
    return _computed(workbench().store.revision, campaign, category, ties)


@lru_cache(maxsize=64)
def _computed(revision: int, campaign: str | None, category: str | None, ties: Ties) -> Metrics:
    """The figures at a revision of the store."""
    judged = annotations.ratings(workbench().store, campaign_id=campaign, category=category, ties=ties)
    return Metrics(**{name: Figure(**asdict(figure)) for name, figure in agreement_report(*judged).items()})

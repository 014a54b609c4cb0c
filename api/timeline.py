"""How annotations and preferences went over time."""

from datetime import UTC, datetime
from functools import lru_cache

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from api.access import Researcher
from api.metrics import Figure, figure
from api.models import InCampaign, InCategory, Limit, OfKinds, problems
from core.held_out import Unit
from core.timeline import Measure, Split, timeline
from storage.judgements import listed
from storage.workbench import workbench

router = APIRouter(tags=["metrics"])


class Group(BaseModel):
    """One line: how many annotations tell in each window, and (unless they are only counted) what share of them says so."""

    name: str
    counts: list[int]
    shares: list[Figure] | None


class Trends(BaseModel):
    """The groups, ``limit`` of them, that of most annotations first, in calendar windows named by their beginning."""

    windows: list[datetime]
    groups: list[Group] = Field(description="a figure for each window, with its interval over prompts")


@router.get("/metrics/timeline", responses=problems(404))
def get_timeline(
    _: Researcher,
    campaign: InCampaign,
    kinds: OfKinds,
    category: InCategory = None,
    measure: Measure = "count",
    split: Split = "all",
    unit: Unit | None = None,
    model: str | None = None,
    limit: Limit = 50,
) -> Trends:
    """Annotations in windows (``unit``, else of a length that suits them), or the share of those that prefer the longer or the left
    answer, are undecided, or that a model ``wins``: each model with ``split=model``, else the ``model`` named."""
    try:
        return _trends(
            workbench().store.revision, campaign, category, kinds, measure, split, unit, model, limit
        )
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


@lru_cache(maxsize=64)
def _trends(
    revision: int,
    campaign: str | None,
    category: str | None,
    kinds: tuple[str, ...],
    measure: Measure,
    split: Split,
    unit: Unit | None,
    model: str | None,
    limit: int,
) -> Trends:
    """The trends at a revision of the store."""
    found = timeline(
        listed(workbench().store, campaign_id=campaign, category=category, kinds=kinds),
        measure,
        split,
        unit,
        model,
    )
    counts, names = found.counts().tolist(), found.names[:limit]
    shares = None if measure == "count" else found.shares(range(len(names)))
    return Trends(
        windows=[start.astype("datetime64[us]").item().replace(tzinfo=UTC) for start in found.starts],
        groups=[
            Group(name=name, counts=counts[i], shares=shares and [figure(one) for one in shares[i]])
            for i, name in enumerate(names)
        ],
    )

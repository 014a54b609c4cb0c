"""Adjudications: the pairs that people disagree on, one after another, and what was made of them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import Lead, Researcher
from api.annotations import (
    Annotation,
    AnnotationPage,
    Change,
    HeldPair,
    ListedAnnotation,
    Undone,
    decoded,
    held,
    shown,
)
from api.models import InCampaign, InCategory, Limit, Name, Offset, problems
from core.adjudication import LEAST, Order
from storage import adjudication, annotations, campaigns
from storage.workbench import workbench

router = APIRouter(tags=["adjudications"], prefix="/adjudications")


class Disputed(BaseModel):
    """The disputed pairs, each counted once: ``own`` were judged by the caller and ``passed`` passed over by them, ``held``
    are with other adjudicators, ``open`` is what is left for the caller."""

    resolved: int
    own: int
    passed: int
    held: int
    open: int


class PairToSettle(HeldPair):
    """A disputed pair held for you until ``expires_at``, without the votes; show the response named by ``left`` on the left."""

    disputed: Disputed


class NoneOpen(BaseModel):
    """There is no disputed pair for you now; ``disputed`` says where they all are."""

    status: Literal["none"] = "none"
    campaign: str
    disputed: Disputed


NextDisputed = Annotated[PairToSettle | NoneOpen, Field(discriminator="status")]


class Resolution(Change):
    """What you make of the pair that you hold under ``lease_id``; "skip" leaves it to another adjudicator."""

    pair_id: Name
    lease_id: Name


@router.get("/next", responses=problems(404))
def next_disputed(
    lead: Lead,
    campaign: Annotated[Name | None, Query(description="A campaign's id; the first one without it.")] = None,
    category: InCategory = None,
    order: Annotated[
        Order,
        Query(
            description="split: most even votes first; doubt: by the entropy of the Dawid-Skene posterior."
        ),
    ] = "split",
    least: Annotated[int, Query(ge=LEAST, le=1000, description="Votes that a pair has at least.")] = LEAST,
) -> NextDisputed:
    """The disputed pair you hold, or the most disputed one that is open to you."""
    bench, now = workbench(), datetime.now(UTC)
    campaign_id = campaigns.find(bench.store, campaign)
    disputed = adjudication.disputed(bench.store, campaign_id, category, order=order, least=least)
    lease = bench.adjudication.next(campaign_id, lead.id, disputed, now)
    docket = bench.adjudication.docket(campaign_id, lead.id, disputed, now)
    counts = Disputed(resolved=docket.resolved, own=docket.own, passed=docket.passed, held=docket.held, open=len(docket.open))  # fmt: skip
    if lease is None:
        return NoneOpen(campaign=campaign_id, disputed=counts)
    return PairToSettle(**held(lease, campaign_id), disputed=counts)


@router.post("", status_code=201, responses=problems(404, 409))
def resolve(new: Resolution, lead: Lead) -> Annotation:
    """Settle the pair that you hold. When this answers, it is on disk; sent twice, it is there once."""
    said, now = new.verdict(new.pair_id), datetime.now(UTC)
    row = workbench().adjudication.resolve(lead.id, new.pair_id, said, now, lease_id=new.lease_id)
    return shown(row)


@router.get("", responses=problems(404))
def list_resolutions(
    _: Researcher, campaign: InCampaign, pair_id: Name | None = None, offset: Offset = 0, limit: Limit = 50
) -> AnnotationPage:
    """The resolutions that stand, newest first; ``skip`` is a pair passed over. They are no votes, and decide the labels."""
    rows, total = annotations.page(
        workbench().store,
        campaign_id=campaign,
        pair_id=pair_id,
        resolutions=True,
        offset=offset,
        limit=limit,
    )
    return AnnotationPage(total=total, items=[ListedAnnotation(**decoded(row)) for row in rows])


@router.delete("/{resolution_id}", responses=problems(404, 409))
def undo_resolution(resolution_id: Name, lead: Lead) -> Undone:
    """Undo a resolution of yours: it stays in the history, and its pair is yours to settle again."""
    lease = workbench().adjudication.retract(lead.id, resolution_id, datetime.now(UTC))
    return Undone(
        id=resolution_id, lease_id=lease.id if lease else None, expires_at=lease.expires_at if lease else None
    )

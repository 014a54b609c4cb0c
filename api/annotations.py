"""Annotations: the next pair to judge, judging it, changing one's mind, and what has been judged."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import identify
from api.models import Body, InCampaign, Limit, Name, Offset, Text, problems
from api.prompts import ChatMessage, turns
from core.judging import InvalidJudgement, Verdict
from core.queueing import Lease, NotAccepted, Nothing
from core.records import Choice
from storage import annotations, campaigns
from storage.cards import Card
from storage.desk import Desk
from storage.store import Store
from storage.tables import AnnotationRow
from storage.workbench import workbench

router = APIRouter(tags=["annotations"])
_threads = CapacityLimiter(16)
"""Fetching and submitting have threads of their own, so that no upload holds them up; with many more at once they wait for
one another, and with fewer they share too few commits."""
Annotator = Annotated[
    Name | None, Query(description="With sign-in off: who annotates. With it on: your own name, if any.")
]


class Progress(BaseModel):
    """Judgements of the campaign: how many there are, of how many wanted (k a pair)."""

    done: int
    wanted: int


class ShownPrompt(BaseModel):
    """``text`` is the last turn, which the answers answer; ``messages`` the whole chat."""

    id: str
    text: str
    messages: list[ChatMessage]


class ShownResponse(BaseModel):
    """An answer, without the name of its model."""

    id: str
    text: str


class HeldPair(BaseModel):
    """A pair held for you until ``expires_at``; show the response named by ``left`` on the left."""

    status: Literal["pair"] = "pair"
    lease_id: str
    pair_id: str
    campaign: str
    prompt: ShownPrompt
    response_a: ShownResponse
    response_b: ShownResponse
    left: Literal["a", "b"]
    expires_at: datetime


class PairToJudge(HeldPair):
    """A pair held for you until ``expires_at``; show the response named by ``left`` on the left."""

    progress: Progress


class Wait(BaseModel):
    """What is left is in other hands: ``held`` pairs, the first of which comes back at ``until`` if not judged."""

    status: Literal["wait"] = "wait"
    campaign: str
    held: int
    until: datetime | None
    progress: Progress


class Done(BaseModel):
    """There is nothing left for you in this campaign."""

    status: Literal["done"] = "done"
    campaign: str
    progress: Progress


Next = Annotated[PairToJudge | Wait | Done, Field(discriminator="status")]


class Change(Body):
    """A judgement, given as ``choice`` (relative to response_a and response_b) or as the id of the response preferred."""

    choice: Choice | None = None
    preferred_id: Name | None = None
    strength: int | None = Field(
        None, ge=1, le=3, strict=True, description="slightly, clearly, far; only with a or b"
    )
    confidence: int | None = Field(None, ge=1, le=5, strict=True)
    aspects: dict[Name, Literal["a", "b", "tie"]] = Field({}, max_length=100)
    reason: Text | None = Field(None, description="up to 10,000 characters")
    seconds: float | None = Field(
        None, ge=0, le=86_400, description="from shown to submitted, without idle time"
    )

    def verdict(self, pair_id: str) -> Verdict:
        """Raises InvalidJudgement where it is neither or both, NotAccepted where there is no such pair."""
        if (self.choice is None) == (self.preferred_id is None):
            raise InvalidJudgement("choice", "give either choice or preferred_id")
        choice = self.choice or _side(pair_id, self.preferred_id)
        return Verdict(choice, self.strength, self.confidence, self.aspects, self.reason, self.seconds)


class NewAnnotation(Change):
    """The answer to a pair: with the lease it was fetched under, or without one where the pair has room."""

    pair_id: Name
    lease_id: Name | None = None
    id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="Made by the client: sending it again adds nothing.",
    )
    campaign: Name | None = Field(
        None, description="The campaign it was fetched from; the first one without it."
    )
    annotator: Name | None = Field(None, description="With sign-in off: who annotates.")


class Annotation(BaseModel):
    """A judgement; ``left`` is the response that stood left, null where that is not known."""

    model_config = ConfigDict(extra="ignore")

    id: str
    campaign_id: str
    pair_id: str
    annotator_id: str
    choice: Choice
    preferred_id: str | None
    left: Literal["a", "b"] | None
    strength: int | None
    confidence: int | None
    aspects: dict[str, str]
    reason: str | None
    seconds: float | None
    repeat: bool
    source: str
    supersedes: str | None
    submitted_at: datetime


class ListedAnnotation(Annotation):
    """A judgement with the annotator's name and the prompt's text and category."""

    annotator: str | None
    prompt: str
    category: str


class AnnotationPage(BaseModel):
    """Some of the ``total`` annotations that stand, newest first."""

    total: int
    items: list[ListedAnnotation]


class Undone(BaseModel):
    """The pair is held for you again under ``lease_id``, sides as before; null where it has no room any more."""

    id: str
    lease_id: str | None
    expires_at: datetime | None


@router.get("/annotations/next", response_model=Next, responses=problems(404))
async def next_pair(
    request: Request,
    campaign: Annotated[Name | None, Query(description="A campaign's id; the first one without it.")] = None,
    annotator: Annotator = None,
) -> Response:
    """The pair you hold, or a new one; or word that there is none now (wait) or at all (done)."""
    return await to_thread.run_sync(_next, request, campaign, annotator, limiter=_threads)


def _next(request: Request, campaign: str | None, annotator: str | None) -> Response:
    identity = identify(request, annotator)
    campaign_id, desk = _desk(campaign)
    found = desk.next(identity.id, datetime.now(UTC))
    done, wanted = desk.progress()
    progress = Progress(done=done, wanted=wanted)
    if not isinstance(found, Nothing):
        return _json(PairToJudge(**held(found, campaign_id), progress=progress))
    if found.held:
        return _json(Wait(campaign=campaign_id, held=found.held, until=found.until, progress=progress))
    return _json(Done(campaign=campaign_id, progress=progress))


def held(lease: Lease, campaign_id: str) -> dict[str, Any]:
    """The fields of a HeldPair."""
    card = card_of(lease.pair_id)
    return {
        "lease_id": lease.id,
        "pair_id": lease.pair_id,
        "campaign": campaign_id,
        "prompt": ShownPrompt(id=card.prompt.id, text=card.prompt.text, messages=turns(card.prompt)),
        "response_a": ShownResponse(id=card.a.id, text=card.a.text),
        "response_b": ShownResponse(id=card.b.id, text=card.b.text),
        "left": "a" if lease.a_left else "b",
        "expires_at": lease.expires_at,
    }


@router.post(
    "/annotations",
    status_code=201,
    response_model=Annotation,
    responses={200: {"model": Annotation, "description": "The same was sent before"}, **problems(404, 409)},
)
async def annotate(new: NewAnnotation, request: Request) -> Response:
    """Judge a pair. When this answers, it is on disk; sent twice, it is there once."""
    return await to_thread.run_sync(_submit, new, request, limiter=_threads)


def _submit(new: NewAnnotation, request: Request) -> Response:
    identity = identify(request, new.annotator)
    _, desk = _desk(new.campaign)
    now = datetime.now(UTC)
    row = desk.submit(
        identity.id,
        new.pair_id,
        new.verdict(new.pair_id),
        now,
        source="api",
        lease_id=new.lease_id,
        annotation_id=new.id,
    )
    return _json(shown(row), 201 if row.submitted_at == now else 200)


@router.get("/annotations", responses=problems(404))
def list_annotations(
    request: Request,
    campaign: InCampaign,
    annotator_id: Annotated[Name | None, Query(description="Annotators see their own in any case.")] = None,
    pair_id: Name | None = None,
    offset: Offset = 0,
    limit: Limit = 50,
) -> AnnotationPage:
    """The annotations that stand."""
    identity = identify(request)
    if not identity.may("researcher"):
        if annotator_id not in (None, identity.id):
            raise HTTPException(403, "Annotators see their own annotations only.")
        annotator_id = identity.id
    rows, total = annotations.page(
        workbench().store,
        campaign_id=campaign,
        annotator_id=annotator_id,
        pair_id=pair_id,
        offset=offset,
        limit=limit,
    )
    return AnnotationPage(total=total, items=[ListedAnnotation(**decoded(row)) for row in rows])


@router.patch("/annotations/{annotation_id}", response_model=Annotation, responses=problems(404, 409))
def edit_annotation(
    annotation_id: Name, change: Change, request: Request, annotator: Annotator = None
) -> Response:
    """Change your mind: a new annotation supersedes the old one, which stays in the history."""
    identity = identify(request, annotator)
    old = _own(annotation_id)
    verdict = change.verdict(old.pair_id)
    desk = workbench().desks[old.campaign_id]
    return _json(shown(desk.edit(identity.id, annotation_id, verdict, datetime.now(UTC), source="api")))


@router.delete("/annotations/{annotation_id}", responses=problems(404, 409))
def undo_annotation(annotation_id: Name, request: Request, annotator: Annotator = None) -> Undone:
    """Undo: the annotation counts no longer, and its pair is yours to judge again."""
    identity = identify(request, annotator)
    old = _own(annotation_id)
    lease = workbench().desks[old.campaign_id].retract(identity.id, annotation_id, datetime.now(UTC))
    return Undone(
        id=annotation_id, lease_id=lease.id if lease else None, expires_at=lease.expires_at if lease else None
    )


def _desk(campaign: str | None) -> tuple[str, Desk]:
    bench = workbench()
    campaign_id = campaigns.find(bench.store, None) if campaign is None else _known(bench.store, campaign)
    return campaign_id, bench.desks[campaign_id]


@lru_cache(maxsize=1024)
def _known(store: Store, campaign_id: str) -> str:
    """The id itself: a campaign that was there once stays. Raises CampaignError."""
    return campaigns.find(store, campaign_id)


def card_of(pair_id: str) -> Card:
    """Raises NotAccepted where there is no such pair."""
    card = workbench().desks.cards.get(pair_id)
    if card is None:
        raise NotAccepted("unknown", f"there is no pair {pair_id!r}")
    return card


def _side(pair_id: str, response_id: str | None) -> Choice:
    card = card_of(pair_id)
    if response_id not in (card.a.id, card.b.id):
        raise InvalidJudgement("preferred_id", f"{response_id!r} is not one of this pair's responses")
    return "a" if response_id == card.a.id else "b"


def _own(annotation_id: str) -> AnnotationRow:
    row = annotations.get(workbench().store, annotation_id)
    if row is None:
        raise NotAccepted("unknown", f"there is no annotation {annotation_id!r}")
    return row


def shown(row: AnnotationRow) -> Annotation:
    """A stored judgement as it is answered."""
    card = card_of(row.pair_id)
    sides: Mapping[str | None, str] = {card.a.id: "a", card.b.id: "b"}
    choice = sides[row.preferred_id] if row.verdict == "prefer" else row.verdict
    fields = row.model_dump(include=set(Annotation.model_fields))
    return Annotation.model_construct(**fields | {"choice": choice, "left": sides.get(row.left_id)})


def decoded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ``storage.annotations.page`` as it is answered."""
    return row | {"aspects": json.loads(row["aspects"])}


def _json(answer: BaseModel, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status, media_type="application/json")

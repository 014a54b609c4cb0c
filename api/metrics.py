"""Metrics of the annotations: how far annotators agree, what biases them, and each annotator."""

from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.access import Researcher
from api.models import InCampaign, InCategory, Limit, Offset, OfKinds, problems
from core import bias
from core.agreement import agreement_report
from core.annotators import Profiles, profiles
from core.bias import FDR
from core.estimate import Estimate
from core.surface import MARKS
from storage import annotations
from storage.judgements import judgements
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


class Trait(BaseModel):
    """What an answer with more of something gains: ``share`` of the judgements on answers that differ in it that prefer it;
    ``odds``, what doubling it multiplies the odds by, the other traits held fixed."""

    share: Figure
    odds: Figure


class Content(Trait):
    """The same of what an answer is made of; ``pairs``: the share of pairs it wins, n counting pairs, by what settles them."""

    pairs: dict[Literal["consensus", "clear", "gold"], Figure]


class Position(Trait):
    """The same of the left; ``odds`` are those for the left of two equal answers."""

    balanced: Figure = Field(description="the share, if each answer had stood left equally often")
    a_left: Figure = Field(description="how often response_a stood left")


class Speed(BaseModel):
    """Judgements faster than 100 characters of both answers a second are quick."""

    quick: Figure = Field(description="the share of them")
    hasty: Figure = Field(description="how often the quick ones agree with the others of their pair")
    careful: Figure = Field(description="how often the rest do")
    less: Figure = Field(description="hasty less careful")
    within: Figure = Field(description="the same, within one and the same annotator")


class Bias(BaseModel):
    """What the preferences owe to position, length, Markdown and haste; n counts judgements where nothing else is said."""

    position: Position
    length: Content
    style: dict[str, Content] = Field(description="list_items, headings, bold, code, links")
    speed: Speed


Order = Literal["judged", "seconds", "quick", "agreement", "kappa", "gold", "reliability", "left", "length"]


class Annotator(BaseModel):
    """An annotator's figures, each with the interval of them alone; n counts judgements."""

    annotator_id: str
    name: str
    kind: str
    judged: int
    since: datetime
    until: datetime
    seconds: Figure = Field(description="the median")
    quick: Figure = Field(description="the share of judgements faster than 100 characters a second")
    agreement: Figure = Field(description="with each of the others of a pair")
    kappa: Figure = Field(description="the same, beyond chance")
    gold: Figure = Field(description="the share of gold pairs judged right")
    reliability: Figure = Field(description="how often they know the answer (MACE)")
    left: Figure = Field(description="how often they prefer the left answer")
    length: Figure = Field(description="how often they prefer the longer answer")
    leans: list[Literal["left", "length"]] = Field(
        description="what they lean to or from beyond chance (for the length: beyond what all do)"
    )
    changed: bool | None = Field(description="whether they changed over time; null with too few judgements")


class Annotators(BaseModel):
    """Of those said to lean, or to have changed, at most ``false_discovery_rate`` are expected to be wrongly so."""

    total: int
    false_discovery_rate: float
    annotators: list[Annotator]


@router.get("/metrics", responses=problems(404))
def get_metrics(
    _: Researcher, campaign: InCampaign, kinds: OfKinds, category: InCategory = None, ties: Ties = "keep"
) -> Metrics:
    """Agreement among annotators; ``ties=drop`` looks only at judgements that prefer a response."""
    return _computed(workbench().store.revision, campaign, category, kinds, ties)


@lru_cache(maxsize=64)
def _computed(
    revision: int, campaign: str | None, category: str | None, kinds: tuple[str, ...], ties: Ties
) -> Metrics:
    """The figures at a revision of the store."""
    judged = annotations.ratings(
        workbench().store, campaign_id=campaign, category=category, kinds=kinds, ties=ties
    )
    return Metrics(**{name: figure(estimate) for name, estimate in agreement_report(*judged).items()})


@router.get("/metrics/bias", responses=problems(404))
def get_bias(_: Researcher, campaign: InCampaign, kinds: OfKinds, category: InCategory = None) -> Bias:
    """Bias in the labels: effect sizes with intervals clustered by prompt and annotator."""
    found = _bias(workbench().store.revision, campaign, category, kinds)

    def trait(name: str) -> dict[str, Any]:
        effect = found.effects[name]
        return {"share": figure(effect.share), "odds": figure(effect.odds)}

    def content(name: str) -> Content:
        return Content(**trait(name), pairs={by: figure(won[name]) for by, won in found.pairs.items()})

    left = Position(**trait(bias.POSITION), balanced=figure(found.balanced), a_left=figure(found.a_left))
    haste = Speed(**{name: figure(getattr(found.speed, name)) for name in Speed.model_fields})
    style = {name.replace(" ", "_"): content(name) for name in MARKS}
    return Bias(position=left, length=content(bias.LENGTH), style=style, speed=haste)


@router.get("/metrics/annotators", responses=problems(404))
def get_annotators(
    _: Researcher,
    campaign: InCampaign,
    kinds: OfKinds,
    category: InCategory = None,
    order: Annotated[
        Order, Query(description="Whom to look at first: the worst for sure by a figure.")
    ] = "judged",
    offset: Offset = 0,
    limit: Limit = 50,
) -> Annotators:
    """Every annotator: work, speed, agreement, gold, reliability, leanings and change, each with its interval."""
    who, found = _annotators(workbench().store.revision, campaign, category, kinds)
    rows = found.order(order)[offset : offset + limit]
    return Annotators(
        total=len(who),
        false_discovery_rate=FDR,
        annotators=[_annotator(who[row], found, row) for row in rows.tolist()],
    )


def _annotator(who: tuple[str, str, str], found: Profiles, row: int) -> Annotator:
    unknown = bool(np.isnan(found.changed[row]))
    return Annotator(
        **dict(zip(("annotator_id", "name", "kind"), who, strict=True)),
        judged=int(found.judged[row]),
        since=found.since[row].item().replace(tzinfo=UTC),
        until=found.until[row].item().replace(tzinfo=UTC),
        leans=[name for name, leaning in found.leanings.items() if leaning.flagged[row]],
        changed=None if unknown else bool(found.changed_q[row] <= FDR),
        **{name: figure(of_all[row]) for name, of_all in found.figures.items()},
    )


def figure(estimate: Estimate) -> Figure:
    """An estimate as it is answered."""
    return Figure(**asdict(estimate))


@lru_cache(maxsize=64)
def _bias(revision: int, campaign: str | None, category: str | None, kinds: tuple[str, ...]) -> bias.Report:
    """The report at a revision of the store."""
    return bias.report(judgements(workbench().store, campaign_id=campaign, category=category, kinds=kinds))


@lru_cache(maxsize=8)
def _annotators(
    revision: int, campaign: str | None, category: str | None, kinds: tuple[str, ...]
) -> tuple[list[tuple[str, str, str]], Profiles]:
    """The annotators (id, name, kind) at a revision of the store."""
    judged = judgements(workbench().store, campaign_id=campaign, category=category, kinds=kinds)
    return list(zip(judged.annotators, judged.names, judged.kinds, strict=True)), profiles(judged)

"""Which model's answers the annotators prefer."""

from functools import lru_cache
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.access import Researcher
from api.metrics import Figure, figure
from api.models import InCampaign, InCategory, OfKinds, problems
from core import preferences
from core.ranking import LEFT_OUT, Comparisons, Over, head_to_head, rank
from storage.judgements import listed, style_differences
from storage.workbench import workbench

router = APIRouter(tags=["metrics"])
Control = Literal["none", "style"]


class ModelStanding(BaseModel):
    """A model; without a strength (its ``reason`` says why) it has no rank."""

    model: str
    strength: Figure = Field(description="log odds against the average model; n counts comparisons")
    points: Figure = Field(description="strength on a scale like Elo's: 1000 + 400 log10 of the odds")
    best_rank: int | None = Field(description="the ranks it may have, for all models at once, in 95 of 100")
    worst_rank: int | None
    won: Figure = Field(description="the share of its comparisons that it won; a tie is half")


class Versus(BaseModel):
    """Two models that were compared: the share of it that the first won."""

    model: str
    against: str
    won: Figure


class ModelRanking(BaseModel):
    """The models, the strongest first; ``reason`` says why there is no ranking, or why it has no intervals."""

    models: list[ModelStanding]
    head_to_head: list[Versus]
    style: dict[str, Figure] = Field(
        description="with control=style, the log odds that a typical difference in a feature adds"
    )
    comparisons: int
    left_out: dict[str, int] = Field(
        description="judgements that are no comparison: "
        + "; ".join(f"{k}: {v}" for k, v in LEFT_OUT.items())
    )
    reason: str | None


@router.get("/metrics/ranking", responses=problems(404))
def get_ranking(
    _: Researcher,
    campaign: InCampaign,
    kinds: OfKinds,
    category: InCategory = None,
    ties: preferences.Ties = "half",
    control: Control = "none",
    over: Over = "prompts",
    temperatures: bool = False,
) -> ModelRanking:
    """Bradley-Terry strengths of the models, from the annotations. ``ties``: half a win each, or left out. ``control=style``: at equal
    length and Markdown. ``over``: intervals over prompts, or over prompts and annotators (both). ``temperatures``: a model at another temperature is
    another model."""
    return _ranked(
        workbench().store.revision, campaign, category, kinds, ties, control == "style", over, temperatures
    )


@lru_cache(maxsize=64)
def _ranked(
    revision: int,
    campaign: str | None,
    category: str | None,
    kinds: tuple[str, ...],
    ties: preferences.Ties,
    control: bool,
    over: Over,
    temperatures: bool,
) -> ModelRanking:
    """The ranking at a revision of the store."""
    store = workbench().store
    table = listed(store, campaign_id=campaign, category=category, kinds=kinds, settings=temperatures)
    found = Comparisons.of(table, ties)
    if control:
        found = found.with_style(style_differences(store, found.pair))
    ranking = rank(found, control, over)
    return ModelRanking(
        models=[
            ModelStanding(
                model=one.model,
                strength=figure(one.strength),
                points=figure(one.points),
                best_rank=one.best,
                worst_rank=one.worst,
                won=figure(one.won),
            )
            for one in ranking.standings
        ],
        head_to_head=[
            Versus(model=first, against=second, won=figure(e))
            for (first, second), e in head_to_head(found, [one.model for one in ranking.standings]).items()
        ],
        style={name: figure(e) for name, e in ranking.style.items()},
        comparisons=len(found),
        left_out=found.left_out,
        reason=ranking.reason,
    )

"""What several routes take and answer."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from core.reading import forbidden
from core.records import MAX_TEXT, Refusal
from storage import campaigns
from storage.prompts import Report
from storage.workbench import workbench


def storable(text: str) -> str:
    if reason := forbidden(text):
        raise ValueError(reason)
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(storable)]
Name = Annotated[str, Field(max_length=200), AfterValidator(storable)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
InCategory = Annotated[Name | None, Query(description="Only prompts of this category.")]


def _campaign(
    campaign: Annotated[Name | None, Query(description="A campaign's id; everything without it.")] = None,
) -> str | None:
    """Raises CampaignError where there is none of that id."""
    if campaign is not None:
        campaigns.get(workbench().store, campaign)
    return campaign


InCampaign = Annotated[str | None, Depends(_campaign)]


def _kinds(
    kind: Annotated[
        list[Literal["person", "imported", "simulated"]] | None,
        Query(
            description="Only annotators of this kind, or of these; all of them, simulated ones too, without it."
        ),
    ] = None,
) -> tuple[str, ...]:
    return tuple(sorted(set(kind or ())))


OfKinds = Annotated[tuple[str, ...], Depends(_kinds)]


class Body(BaseModel):
    """A request body: an unknown field is a mistake, not something to leave out."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Problem(BaseModel):
    """What went wrong and what to do; ``field`` is what to mend in the request, where it is one thing."""

    detail: str
    field: str | None = None


class Refused(BaseModel):
    """A row that did not enter: rows count from 1 (in JSONL, the line), ``field`` is null where all of it is meant."""

    row: int
    field: str | None
    reason: str


class UploadReport(BaseModel):
    """What became of a file's rows; ``added`` counts prompts or pairs, ``duplicate`` what was there already."""

    added: int
    duplicate: int
    annotations: int = Field(0, description="judgements added")
    annotators: int = Field(0, description="annotators added")
    refused: list[Refused]

    @classmethod
    def of(cls, report: Report, unread: list[Refusal]) -> "UploadReport":
        """A report with the rows that could not even be read."""
        refused = sorted([*unread, *report.refused], key=lambda refusal: refusal.row)
        return cls(
            added=report.added,
            duplicate=len(report.duplicates),
            annotations=report.annotations,
            annotators=report.annotators,
            refused=[Refused(**asdict(refusal)) for refusal in refused],
        )


Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The statuses with which a route answers a Problem, for its documentation."""
    return {status: {"model": Problem} for status in statuses}

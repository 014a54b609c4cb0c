"""Data sets for trainers, and the annotations as they are."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api.access import Researcher
from api.models import InCampaign, InCategory, problems
from core.exporting import Policy, Shape, Split, export, to_jsonl, validate
from storage.exports import Method, annotations_csv, candidates
from storage.workbench import workbench

router = APIRouter(tags=["export"], prefix="/export")
_ALL = (1.0, 0.0, 0.0)
_PART = 2000
"""Rows written at a time."""


@router.get(
    "/rlhf",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}, "description": "A row a line"}, **problems(404)},
)
def export_rlhf(
    _: Researcher,
    campaign: InCampaign,
    shape: Shape = "preference",
    label: Annotated[Method, Query(description="How votes become one label.")] = "majority",
    ties: Literal["drop", "keep"] = "drop",
    split: Annotated[
        Split | None, Query(description="90, 5 and 5% of the prompts; all of them without it.")
    ] = None,
    category: InCategory = None,
    min_votes: Annotated[int, Query(ge=1, le=1000)] = 1,
    simulated: Annotated[
        bool,
        Query(
            description="Whether simulated annotators count; the report says how many pairs have their votes."
        ),
    ] = False,
) -> StreamingResponse:
    """Preference data as TRL takes it, as JSONL. The header X-Attune-Report counts what became of every pair."""
    policy = (
        Policy(shape=shape, ties=ties, min_votes=min_votes)
        if split
        else Policy(shape, ties, _ALL, min_votes=min_votes)
    )
    result = export(
        candidates(
            workbench().store, campaign_id=campaign, category=category, method=label, simulated=simulated
        ),
        policy,
    )
    rows = result.rows[split or "train"]
    validate(rows, shape)
    headers = {
        "X-Attune-Report": json.dumps(result.report),
        "Content-Disposition": f'attachment; filename="attune-{shape}{f"-{split}" if split else ""}.jsonl"',
    }
    parts = (to_jsonl(rows[low : low + _PART]) for low in range(0, len(rows), _PART))
    return StreamingResponse(parts, media_type="application/jsonl", headers=headers)


@router.get(
    "/csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "A row an annotation"}, **problems(404)},
)
def export_csv(_: Researcher, campaign: InCampaign) -> StreamingResponse:
    """The annotations that stand, with their texts; the file comes back in through POST /pairs/upload as annotated."""
    headers = {"Content-Disposition": 'attachment; filename="attune-annotations.csv"'}
    return StreamingResponse(
        annotations_csv(workbench().store, campaign_id=campaign), media_type="text/csv", headers=headers
    )

"""Reports as one HTML file, to read, print and pass on."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse, Response

from api.access import Researcher
from api.models import InCampaign, Name, Responses, problems
from api.registry import known
from core.held_out import ALL
from core.report import POLICY
from jobs import reports
from storage import drift
from storage.workbench import workbench

router = APIRouter(tags=["reports"])
PAGE: Responses = {200: {"content": {"text/html": {}}, "description": "A file of HTML, whole in itself"}}


@router.get("/models/{model_id}/report", response_class=Response, responses={**PAGE, **problems(404, 409)})
def get_model_report(
    model_id: Name,
    _: Researcher,
    campaign: InCampaign,
    pairs: Annotated[
        Name, Query(description="all that it had not seen, those of its test split (test), or a probe's id.")
    ] = ALL,
) -> HTMLResponse:
    """The evaluation of a version on pairs that it had not seen: accuracy, log loss, calibration and lineage, with intervals. 409 where
    no such pair has votes."""
    known(model_id)
    return _page(reports.of_model(workbench(), model_id, pairs, campaign))


@router.get("/drift/{job_id}/report", response_class=Response, responses={**PAGE, **problems(404)})
def get_drift_report(job_id: Name, _: Researcher) -> HTMLResponse:
    """What a drift run found, named by the id of its job: what changed between its windows, where, and how sure that is."""
    run = drift.get(workbench().store, job_id)
    if run is None:
        raise HTTPException(404, f"There is no finished drift run with the id {job_id!r}.")
    return _page(reports.of_drift(workbench(), run))


def _page(html: str) -> HTMLResponse:
    return HTMLResponse(html, headers={"Content-Security-Policy": f"sandbox; {POLICY}"})

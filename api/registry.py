"""Models: which there are, what they come from, and which is deployed."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from api.access import Lead, Researcher
from api.models import Limit, Name, Offset, problems
from jobs import models
from storage import models as registry
from storage.models import Model
from storage.workbench import workbench

router = APIRouter(tags=["models"])


class ListedModel(BaseModel):
    """A version of a model; ``base`` is what it was trained from, ``parent_id`` the model it was fine-tuned from or
    calibrated anew, ``figures`` what its job measured, each with its interval."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    version: str
    status: Literal["testing", "deployed", "deprecated", "archived"]
    aliases: list[str]
    method: str
    base: str | None
    parent_id: str | None
    job_id: str | None
    campaign_id: str | None
    created_at: datetime
    deployed_at: datetime | None
    figures: dict[str, Any]
    checksum: str


class ModelPage(BaseModel):
    """Some of the ``total`` models that match, newest first."""

    total: int
    items: list[ListedModel]


class WholeModel(ListedModel):
    """A model with what it comes from: its parents, the nearest first, and what it learnt from under which policy."""

    parents: list[str]
    learnt: dict[str, Any]
    annotations: int


@router.get("/models")
def list_models(
    _: Researcher,
    name: Annotated[Name | None, Query(description="Only versions of this name.")] = None,
    archived: Annotated[bool, Query(description="Archived ones too.")] = False,
    offset: Offset = 0,
    limit: Limit = 50,
) -> ModelPage:
    """Versions of models, newest first."""
    found = registry.listed(workbench().store, name, archived=archived)
    page = found[offset : offset + limit]
    return ModelPage(total=len(found), items=[ListedModel.model_validate(model) for model in page])


@router.get("/models/{model_id}", responses=problems(404))
def get_model(model_id: Name, _: Researcher) -> WholeModel:
    """A version of a model as it stands."""
    _known(model_id)
    lineage = registry.lineage(workbench().store, model_id)
    return WholeModel(
        **ListedModel.model_validate(lineage.model).model_dump(),
        parents=[parent.id for parent in lineage.parents],
        learnt=lineage.learnt,
        annotations=len(lineage.annotation_ids),
    )


@router.post("/models/{model_id}/deploy", responses=problems(404, 409, 503))
def deploy(model_id: Name, lead: Lead) -> ListedModel:
    """Have this version answer for its name; the one that did becomes deprecated. 503 where its files are damaged."""
    _known(model_id)
    return ListedModel.model_validate(models.deploy(workbench(), model_id, lead.id))


@router.post("/models/{model_id}/rollback", responses=problems(404, 409, 503))
def roll_back(model_id: Name, lead: Lead) -> ListedModel:
    """Take this version, which is deployed, back; answers the one that was deployed before and is again."""
    model = _known(model_id)
    if model.status != "deployed":
        raise HTTPException(
            409, f"{model.name} {model.version} is not deployed: there is nothing to roll back."
        )
    return ListedModel.model_validate(registry.roll_back(workbench().store, model.name, lead.id))


@router.post("/models/{model_id}/archive", responses=problems(404, 409))
def archive(model_id: Name, lead: Lead) -> ListedModel:
    """Put a version out of use; not while it is deployed."""
    _known(model_id)
    return ListedModel.model_validate(registry.archive(workbench().store, model_id, lead.id))


def _known(model_id: str) -> Model:
    try:
        return registry.get(workbench().store, model_id)
    except registry.ModelError as error:
        raise HTTPException(404, str(error)) from None

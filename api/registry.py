"""Models: which there are, what they come from, and which is deployed."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from api.access import Lead, Researcher
from api.models import Body, Limit, Name, Offset, problems, storable
from jobs import models
from storage import models as registry
from storage.models import Model
from storage.workbench import workbench

router = APIRouter(tags=["models"])
Alias = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=registry.MAX_NAME),
    AfterValidator(storable),
]
"""A name that one version of a model has, such as champion."""


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


class NewAlias(Body):
    """A name that one version of a model has at a time, such as champion."""

    alias: Alias


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
    known(model_id)
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
    known(model_id)
    return ListedModel.model_validate(models.deploy(workbench(), model_id, lead.id))


@router.post("/models/{model_id}/rollback", responses=problems(404, 409, 503))
def roll_back(model_id: Name, lead: Lead) -> ListedModel:
    """Take this version, which is deployed, back; answers the one that was deployed before and is again. 503 where that
    one's files are damaged."""
    known(model_id)
    return ListedModel.model_validate(models.roll_back(workbench(), model_id, lead.id))


@router.post("/models/{model_id}/archive", responses=problems(404, 409))
def archive(model_id: Name, lead: Lead) -> ListedModel:
    """Put a version out of use; not while it is deployed."""
    known(model_id)
    return ListedModel.model_validate(registry.archive(workbench().store, model_id, lead.id))


@router.post("/models/{model_id}/restore", responses=problems(404, 409))
def restore(model_id: Name, lead: Lead) -> ListedModel:
    """Take a version out of the archive, to testing."""
    known(model_id)
    return ListedModel.model_validate(registry.restore(workbench().store, model_id, lead.id))


@router.post("/models/{model_id}/aliases", responses=problems(404))
def set_alias(model_id: Name, new: NewAlias, lead: Lead) -> ListedModel:
    """Put an alias on a version, away from the version of its name that had it."""
    known(model_id)
    return ListedModel.model_validate(registry.set_alias(workbench().store, model_id, new.alias, lead.id))


@router.delete("/models/{model_id}/aliases", responses=problems(404, 409))
def drop_alias(model_id: Name, alias: Alias, lead: Lead) -> ListedModel:
    """Take an alias off a version. 409 where it does not have it."""
    known(model_id)
    return ListedModel.model_validate(registry.drop_alias(workbench().store, model_id, alias, lead.id))


def known(model_id: str) -> Model:
    """Raises HTTPException 404 where there is no such model."""
    try:
        return registry.get(workbench().store, model_id)
    except registry.ModelError as error:
        raise HTTPException(404, str(error)) from None
